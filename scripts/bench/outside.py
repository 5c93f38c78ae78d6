"""The external programs: how each identifies itself, and its Debian package."""

from __future__ import annotations

from typing import Final

from toolkit.programs import NEEDED, Program

PROGRAMS: Final = {
    program.name: program
    for program in (
        NEEDED["imagemagick"],
        # Version 7 has `magick mogrify`; other tools use the name mogrify, too.
        Program(
            *("mogrify", "imagemagick"),
            *(("-version",), r"^Version: ImageMagick "),
            commands=("magick", "mogrify"),
        ),
        Program("gm", "graphicsmagick", ("version",), r"^GraphicsMagick "),
        Program("vipsthumbnail", "libvips-tools", ("--version",), r"^vips-\d"),
        Program("node", "nodejs", ("--version",), r"^v\d+\.\d+\.\d+$"),
        Program("find", "findutils", ("--version",), r"^find \(GNU findutils\) "),
        # For --stages and --instructions.
        Program("djpeg", "libjpeg-turbo-progs", ("-version",), r"^libjpeg-turbo version "),
        Program("cjpeg", "libjpeg-turbo-progs", ("-version",), r"^libjpeg-turbo version "),
        Program("valgrind", "valgrind", ("--version",), r"^valgrind-\d"),
    )
}
