#!/usr/bin/env python3
"""Draws a terminal session with colours as an SVG: picture.py SESSION > SVG. Plain characters, no fonts beside the reader's."""
import html
import re
import sys

COLOURS = {"1": "#e6edf3;font-weight:bold", "2": "#7d8590", "31": "#ff7b72", "32": "#3fb950", "33": "#d29922"}
WIDTH, HEIGHT, LEFT, TOP = 8.4, 18, 16, 44


def spans(line):
    """Pieces of a line and their colour."""
    colour, at = None, 0
    for found in re.finditer(r"\x1b\[(\d+)m", line):
        if found.start() > at:
            yield line[at:found.start()], colour
        colour = COLOURS.get(found.group(1))
        at = found.end()
    if at < len(line):
        yield line[at:], colour


def main():
    lines = open(sys.argv[1], encoding="utf-8").read().rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[\d+m", "", line) for line in lines]
    width = LEFT * 2 + WIDTH * max(len(line) for line in plain)
    height = TOP + HEIGHT * len(lines) + 12
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img" aria-label="a session of kubectl kafka-backup">')
    print(f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>')
    for place, fill in enumerate(["#ff5f56", "#ffbd2e", "#27c93f"]):
        print(f'<circle cx="{LEFT + 6 + place * 20}" cy="18" r="6" fill="{fill}"/>')
    print('<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14" fill="#c9d1d9" xml:space="preserve">')
    for number, line in enumerate(lines):
        parts = "".join(
            f'<tspan style="fill:{colour}">{html.escape(text)}</tspan>' if colour else html.escape(text)
            for text, colour in spans(line)
        )
        # The same width for each character, whatever font the reader has.
        length = f' textLength="{WIDTH * len(plain[number]):.1f}"' if plain[number] else ""
        print(f'<text x="{LEFT}" y="{TOP + HEIGHT * number}"{length}>{parts}</text>')
    print("</g></svg>")


main()
