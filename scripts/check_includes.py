#!/usr/bin/env python3
"""Checks what the build cannot: the direction of includes between folders, and headers nobody may use."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALLOWED = {  # folder -> folders it may include, besides itself
    "base": "", "io": "base", "text": "base io", "data": "base io text", "ops": "base", "nn": "base io ops",
    "models": "base io ops nn", "adapters": "base io ops nn", "eval": "base io text data ops nn models adapters",
    "report": "base io text data ops nn models adapters eval",
    "train": "base io text data ops nn models adapters eval",
    "cli": "base io text data ops nn models adapters eval report train"}
WITHOUT_TORCH = {"base", "io", "text", "data"}
FORBIDDEN = ("torch/torch.h", "torch/extension.h", "torch/all.h", "torch/types.h")
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^">]+)[">]', re.M)


def main():
    faults = []
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".h", ".cpp", ".cu"):
            continue
        folder = path.relative_to(ROOT / "src").parts[0]
        for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
            first = name.split("/")[0]
            where = path.relative_to(ROOT)
            if name in FORBIDDEN:
                faults.append(f"{where}: {name} is slow to compile and not needed")
            if folder in WITHOUT_TORCH and first in ("torch", "ATen", "c10"):
                faults.append(f"{where}: {folder} must not include torch, it includes {name}")
            if first in ALLOWED and first != folder and first not in ALLOWED[folder].split():
                faults.append(f"{where}: {folder} must not include {first} ({name})")
    if faults:
        sys.exit("\n".join(faults))
    print("includes: every folder includes only what stands below it")


if __name__ == "__main__":
    main()
