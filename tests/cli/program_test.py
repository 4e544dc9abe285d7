"""The program in a folder of its own: for tests that make their data and look at what it prints and leaves."""
import os
import pathlib
import subprocess
import tempfile
import unittest


class ProgramTest(unittest.TestCase):
    athanor = None  # its path

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="athanor-")
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.fill(cls.folder)

    @classmethod
    def fill(cls, folder):
        """What all tests of the class begin with."""

    @classmethod
    def environment(cls):
        return {**os.environ, "ATHANOR_CACHE": str(cls.folder / "cache")}

    @classmethod
    def call(cls, *arguments):
        return subprocess.run([cls.athanor, *arguments], cwd=cls.folder, env=cls.environment(), capture_output=True,
                              text=True, timeout=120)

    @classmethod
    def done(cls, *arguments, code=0):
        done = cls.call(*arguments)
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    @classmethod
    def succeeds(cls, *arguments):
        return cls.done(*arguments).stdout

    def refused(self, sentence, *arguments, code=2):
        """This as the whole of what is printed."""
        done = self.done(*arguments, code=code)
        self.assertEqual(done.stderr.strip(), "athanor: " + sentence)
        self.assertEqual(done.stdout, "")

    def refused_with(self, part, *arguments):
        """One sentence that says so."""
        done = self.done(*arguments, code=2)
        self.assertIn(part, done.stderr)
        self.assertTrue(done.stderr.startswith("athanor: "), done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
