"""Commits files to a branch of a bare repository, and prints the hash: ``commit.py NAME BRANCH``.

The files come on stdin, as JSON (path: content) after a line with its length. The branch then has these files
and no others. Runs in the git server's pod.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

name, branch = sys.argv[1:]
files = json.loads(sys.stdin.read(int(sys.stdin.readline())))
repository = Path("/srv/git") / f"{name}.git"
author = {f"GIT_{who}_{what}": value
          for who in ("AUTHOR", "COMMITTER")
          for what, value in (("NAME", "e2e"), ("EMAIL", "e2e@example.invalid"))}  # fmt: skip


def git(*words: str, **environment: str) -> str:
    """Run git on the repository and return what it prints."""
    command = ["git", "-c", "safe.directory=*", "--git-dir", str(repository), *words]
    environment = {**os.environ, **author, **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout.strip()


if not repository.exists():
    repository.mkdir(parents=True)
    git("init", "--quiet", "--bare", f"--initial-branch={branch}")
with tempfile.TemporaryDirectory() as tree:
    for path, content in files.items():
        file = Path(tree) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    index = {"GIT_INDEX_FILE": f"{tree}.index", "GIT_WORK_TREE": tree}
    git("add", "--all", ".", **index)
    written = git("write-tree", **index)
    Path(f"{tree}.index").unlink()
parents = [word for parent in git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").split()
           for word in ("-p", parent)]  # fmt: skip
commit = git("commit-tree", written, *parents, "-m", "e2e")
git("update-ref", f"refs/heads/{branch}", commit)
print(commit)
