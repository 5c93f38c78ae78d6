"""Damages files and has every walker of imgbatch/imaging/containers read them.

    scripts/tool fuzz_containers                      a million inputs, on all processors
    scripts/tool fuzz_containers --inputs 20000       fewer
    scripts/tool fuzz_containers --seed 7             the same again

A reader may raise ValueError, and nothing else. Prints what went wrong, with the seed that repeats
it, and exits with 1 if anything did.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from itertools import islice
from multiprocessing import Pool

from toolkit.specimens import specimens
from toolkit.walking import inputs, problems

PORTION = 1_000
MOST_SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many (1,000,000)")
    parser.add_argument("--seed", type=int, default=None, help="default: a random one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="default: all processors")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10_000)
    began, done = time.monotonic(), 0
    found: Counter[str] = Counter()
    examples: dict[str, str] = {}
    counts = [min(PORTION, options.inputs - at) for at in range(0, options.inputs, PORTION)]
    with Pool(options.jobs) as pool:
        portions = [(f"{seed} {number}", count) for number, count in enumerate(counts)]
        for count, findings in pool.imap_unordered(fuzzed, portions):
            done += count
            found.update(problem for problem, _ in findings)
            examples |= dict(findings)
            if done % 50_000 == 0:
                print(f"{done:,} inputs, {found.total()} problems", file=sys.stderr)
    for problem, count in found.most_common(MOST_SHOWN):
        print(f"{count} × {problem} (such as {examples[problem]})")
    seconds = time.monotonic() - began
    print(f"{done:,} inputs, {found.total()} problems; seed {seed}, {seconds:.0f} s")
    return 1 if found else 0


def fuzzed(portion: tuple[str, int]) -> tuple[int, list[tuple[str, str]]]:
    """The number of inputs of a portion; its problems, each with what was damaged, and how."""
    seed, count = portion
    damaged = islice(inputs(specimens(), random.Random(seed)), count)
    return count, [(problem, words) for data, words in damaged for problem in problems(data)]


if __name__ == "__main__":
    sys.exit(main())
