"""What stands behind the entry points imports nothing heavy: every command pays for it, `--help` included."""

from __future__ import annotations

import subprocess
import sys


def test_plugin_modules_are_light(environment):
    code = (
        "import sys, deform_frontalize, deform_inpaint, deform_train, deform_evaluate, deform_synthesize\n"
        "import deform_studio.command\n"
        "print(sorted({'torch', 'cv2', 'numpy', 'PIL', 'facenet_pytorch', 'huggingface_hub'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
