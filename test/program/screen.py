"""screen.py -- a program under a pseudo-terminal, and what a person would see there: as much of a VT100 as shoal uses."""
import fcntl, os, pty, re, select, struct, subprocess, termios, time


class Screen:
    """Rows of characters, a cursor, and the lines that have scrolled off the top. Narrowing breaks long lines anew, as most
    terminals do."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines, self.top, self.row, self.column = [""], 0, 0, 0
        self.unknown, self.escapes, self.wrapped = [], 0, 0

    def feed(self, text):
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]|\x1b", text):
            if part[0] == "\x1b":
                self.escapes += 1
                self.obey(part)
            elif part == "\n":
                self.row += 1
                self.column = 0  # the line discipline sends \r before it
                if self.row == len(self.lines):
                    self.lines.append("")
            elif part == "\r":
                self.column = 0
            elif part >= " ":
                if self.column == self.columns:
                    self.wrapped += 1
                    self.row, self.column = self.row + 1, 0
                    self.lines.insert(self.row, "")
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[:self.column] + part + line[self.column + 1:]
                self.column += 1

    def obey(self, part):
        if part == "\x1b[J":
            self.lines[self.row:] = [self.lines[self.row][:self.column]]
        elif re.fullmatch(r"\x1b\[\d+A", part):
            self.row = max(0, self.row - int(part[2:-1]))
        else:
            self.unknown.append(part)

    def resize(self, columns):
        broken, row = [], 0
        for i, line in enumerate(self.lines):
            if i == self.row:
                row = len(broken)
            broken += [line[k:k + columns] for k in range(0, max(1, len(line)), columns)]
        self.lines, self.row, self.columns = broken, row, columns

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines)


class Program:
    def __init__(self, arguments, cwd, columns=80, rows=24, **environment):
        self.screen = Screen(columns, rows)
        self.raw = ""
        ours, theirs = pty.openpty()
        self.fd = ours
        self.size(columns, rows)
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG")}
        env.update(dict(TERM="xterm", LANG="C.UTF-8"), **environment)
        self.child = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=env, start_new_session=True)
        os.close(theirs)

    def size(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns):
        self.read(0)
        self.size(columns, self.screen.rows)
        self.screen.resize(columns)

    def read(self, seconds):
        end = time.monotonic() + seconds
        while select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            if not data:
                return False
            text = data.decode("utf-8", "replace")
            self.raw += text
            self.screen.feed(text)
        return True

    def until(self, condition, seconds):
        """Reads until the condition holds of the screen, or the program ends, or time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            open_still = self.read(0.1)
            if condition(self.screen):
                return True
            if not open_still:
                return bool(condition(self.screen))
        return False
