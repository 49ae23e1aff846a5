"""Runs the real speech process with stand-ins for Piper's library, which is too large to be installed.

Run as a file, in the place of ``broadcast/speech/speech_process.py``.
"""

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent

if __name__ == "__main__":
    sys.path.insert(0, str(HERE / "piper_library"))
    process = HERE.parents[1] / "broadcast" / "speech" / "speech_process.py"
    runpy.run_path(str(process), run_name="__main__")
