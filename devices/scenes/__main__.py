"""Command line of the scene generator: one video and its truth.

It decides nothing; see `devices.scenes.film`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from devices.scenes.film import read_truth, truth_path, write_video


def main() -> None:
    """Write the video and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m devices.scenes", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.mp4")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=50.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--size", default="640x360", metavar="WxH")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    encoder = write_video(options.out, options.seed, options.seconds, options.fps, (width, height))
    truth = read_truth(options.out)
    print(f"{options.out}: {truth.frames} frames, {encoder}; truth in {truth_path(options.out)}")
    for stay in truth.episodes:
        print(f"  {stay.episode}: {stay.label} {stay.start_frame}..{stay.end_frame}")


if __name__ == "__main__":
    main()
