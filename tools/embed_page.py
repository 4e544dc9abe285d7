#!/usr/bin/env python3
"""Makes report.html's frame a C array: template, style, scripts and D3 in one, cut where title and data will stand.
Usage: embed_page.py OUT.c TEMPLATE STYLE D3 SCRIPT..."""
import pathlib
import re
import sys

out, template, style, d3, *scripts = map(pathlib.Path, sys.argv[1:])
LICENCE = """/*! D3 3.5, Copyright (c) 2010-2016 Michael Bostock. BSD 3-clause licence: redistribution and use in source and binary
forms, with or without modification, are permitted provided that the copyright notice, this list of conditions and the
following disclaimer are retained; the name Michael Bostock may not be used to endorse or promote products derived from
this software without specific prior written permission. THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND
CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES ARE DISCLAIMED. */
"""


def read(path):
    text = path.read_text(encoding="utf-8").strip()
    if re.search(r"</(script|style)", text, re.I):
        sys.exit(f"{path}: a closing tag inside would end its element in the page")
    return text


def script(path):  # each file keeps its names together; one "use strict" is enough
    return read(path).replace('"use strict";\n', "")


page = template.read_text(encoding="utf-8")
for mark, text in (("@STYLE@", "\n" + read(style) + "\n"), ("@D3@", "\n" + LICENCE + read(d3) + "\n"),
                   ("@SCRIPT@", '\n"use strict";\n' + "\n".join(map(script, scripts)) + "\n")):
    if page.count(mark) != 1:
        sys.exit(f"{template}: expected {mark} once")
    page = page.replace(mark, text)
head, rest = page.split("@TITLE@")
middle, tail = rest.split("@DATA@")

lines = ["/* Made by tools/embed_page.py. */", '#include "report/page.h"', ""]
for name, text in (("head", head), ("middle", middle), ("tail", tail)):
    data = text.encode("utf-8")
    lines.append(f"static const unsigned char {name}[] = {{")
    lines += [",".join(map(str, data[i:i + 40])) + "," for i in range(0, len(data), 40)]
    lines += ["};"]
lines.append("const athi_piece athi_page[3] = {{head, sizeof head}, {middle, sizeof middle}, {tail, sizeof tail}};")
out.write_text("\n".join(lines) + "\n")
