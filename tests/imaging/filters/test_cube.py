"""Colour lookup tables (.cube): what is read, and what is refused with its line number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbatch.imaging.filters.cube import Cube, CubeError, read


def table(size: int, *lines: str, dimensions: int = 3) -> bytes:
    """A file with these lines before a table whose colours all differ."""
    colours = [f"{n / 1000:.3f} {n / 2000:.4f} {n / 3000:.5f}" for n in range(size**dimensions)]
    return "\n".join([*lines, f"LUT_{dimensions}D_SIZE {size}", *colours]).encode()


def test_red_changes_fastest() -> None:
    cube = read(table(3))
    values = cube.array()
    assert (cube.dimensions, cube.size, cube.domain) == (3, 3, ((0, 0, 0), (1, 1, 1)))
    for blue in range(3):
        for green in range(3):
            for red in range(3):
                n = red + 3 * green + 9 * blue
                expected = [n / 1000, n / 2000, n / 3000]
                assert np.allclose(values[blue, green, red], expected, atol=1e-5)


def test_one_dimensional_table_is_a_curve_per_channel() -> None:
    cube = read(table(5, dimensions=1))
    assert (cube.dimensions, cube.size) == (1, 5)
    assert np.allclose(cube.array()[:, 1], np.arange(5) / 2000)


@pytest.mark.parametrize(
    ("lines", "domain"),
    [
        (["DOMAIN_MIN -1 0 0.25", "DOMAIN_MAX 2 3 4"], ((-1, 0, 0.25), (2, 3, 4))),
        (["LUT_3D_INPUT_RANGE 0.25 2"], ((0.25,) * 3, (2,) * 3)),
    ],
)
def test_domain_is_read_in_both_spellings(
    lines: list[str], domain: tuple[tuple[float, ...], ...]
) -> None:
    assert read(table(2, *lines)).domain == domain


@pytest.mark.parametrize(
    "data",
    [
        table(2, 'TITLE "A film"', "# a comment", "", "LUT_IN_VIDEO_RANGE"),
        table(2).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + table(2) + b"\n\n# the end\n",
        table(2, 'TITLE "3 films"'),
    ],
)
def test_comments_titles_and_line_ends_do_not_matter(data: bytes) -> None:
    assert np.array_equal(read(data).array(), read(table(2)).array())


def test_comments_between_the_colours_of_a_long_table_do_not_matter() -> None:
    commented = table(9).replace(b"\n0.600 ", b"\n# the half\n\n0.600 ")
    assert np.array_equal(read(commented).array(), read(table(9)).array())


def test_colour_may_lie_far_beyond_white() -> None:
    values = read(table(9).replace(b"0.600 ", b"-99.5 ").replace(b"0.700 ", b"1e8 ")).array()
    assert values.reshape(-1, 3)[[600, 700], 0].tolist() == [-99.5, 1e8]


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "found no LUT_3D_SIZE"),
        (b"\x89PNG\r\n\x00", "found binary data or UTF-16, expected text in UTF-8"),
        (table(2).decode().encode("utf-16"), "found binary data or UTF-16, expected text in UTF-8"),
        (b"LUT_3D_SIZE 2\n0 0 0\n", "found 1 colour, expected 8"),
        (table(2) + b"\n0 0 0", "found 9 colours, expected 8"),
        (b"LUT_3D_SIZE two\n", "line 1: found 'LUT_3D_SIZE two', expected 1 number"),
        (b"LUT_3D_SIZE\n", "line 1"),
        (b"LUT_3D_SIZE 1\n", "line 1: found a size of 1, expected 2 to 256"),
        (b"LUT_3D_SIZE 2.5\n", "line 1: found a size of 2.5"),
        (b"LUT_3D_SIZE 9999999\n", "expected 2 to 256"),
        (b"LUT_1D_SIZE 70000\n", "expected 2 to 65536"),
        (b"LUT_3D_SIZE 2\nLUT_3D_SIZE 2\n", "line 2: found a second size"),
        (b"LUT_3D_SIZE 2\n0 0\n", "line 2: found '0 0', expected 3 numbers"),
        (b"LUT_3D_SIZE 2\n0 0 0 0\n", "line 2: found '0 0 0 0', expected 3 numbers"),
        (b"LUT_3D_SIZE 2\n0 0 x\n", "line 2: found '0 0 x', expected 3 numbers"),
        (b"LUT_3D_SIZE 2\n0,0,0\n", "line 2: found '0,0,0', expected 3 numbers"),
        (b"0 0 0\nLUT_3D_SIZE 2\n", "line 1: found numbers, expected LUT_3D_SIZE before"),
        (table(2).replace(b"0.007 ", b"nan "), "line 9: found 'nan 0.0035 0.00233', expected 3"),
        (table(2).replace(b"0.007 ", b"-inf "), "line 9: found '-inf "),
        (table(2).replace(b"0.007 ", b"1e300 "), "line 9: found '1e300 "),
        # Far down, where lines are parsed in bulk.
        (table(9).replace(b"0.600 ", b"nan "), "line 602: found 'nan 0.3000 0.20000', expected 3"),
        (table(9).replace(b"0.600 ", b"-inf "), "line 602: found '-inf "),
        (table(9).replace(b"0.600 ", b"0,6 "), "line 602: found '0,6 "),
        (table(9).replace(b"0.600 0.3000 ", b"0.600 "), "line 602: found '0.600 0.20000'"),
        (table(9).replace(b"0.600 0.3000", b"1e8 2\n3 1e9"), "line 602: found '1e8 2'"),
        (table(9).replace(b"0.600 ", b"0.600\x0b0 "), "line 602: "),
        (table(9) + b"\n0 0 0", "found 730 colours, expected 729"),
        (table(9).rpartition(b"\n")[0], "found 728 colours, expected 729"),
        (table(2, "DOMAIN_MIN 0 0"), "line 1: found 'DOMAIN_MIN 0 0', expected 3 numbers"),
        (table(2, "DOMAIN_MIN 0 nan 0"), "line 1"),
        (table(2, "DOMAIN_MIN 0 1 0"), "a domain that ends before it begins"),
        (table(2, "LUT_3D_INPUT_RANGE 1 0"), "a domain that ends before it begins"),
    ],
)
def test_invalid_table_is_refused_with_the_line(data: bytes, part: str) -> None:
    with pytest.raises(CubeError) as caught:
        read(data)
    assert part in str(caught.value)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["LUT_3D_SIZE 2", "LUT_1D_SIZE 3", "0 0 0", "1 .5 0", "TITLE", "DOMAIN_MAX 1 1 1"]
            ),
            st.text(max_size=12),
        ),
        max_size=14,
    )
)
def test_any_file_is_a_table_or_refused(lines: list[str]) -> None:
    try:
        cube = read("\n".join(lines).encode(errors="replace"))
    except CubeError:
        return
    assert isinstance(cube, Cube)
    assert np.isfinite(cube.array()).all()
