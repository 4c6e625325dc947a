"""The array, pass after pass: from when on each reads, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable

from hwnorm.engine.engine import Engine

#: From the cycle in which a pass's sums would be drained whole, were they there at its end, until its codes
#: can be read; the function's latency comes on top. Memory, array and epilogue: engine_core.v.
SETTLE = 13
#: Cycles from a phase's last word to the next phase's first: its descriptor is read.
SWITCH = 2
#: From a pass's last word to its sums: address, memory, array.
FLIGHT = 8
#: From a row's sums to its code: engine_lane.v.
EPILOGUE = 6
#: Before all else, by however many cycles time goes on.
NEVER = -(1 << 60)


class Passes:
    """The array with its epilogue, the loader of weights, and the softmax, in the middle of an image.

    A phase is a method, which returns how many words it reads. What it does depends on when all else was only
    by differences: where these come again, so do all cycles.

    Attributes:
        begin: the cycle in which the last pass began, of so many ``words`` of the depth, and so many ``rows``
            that are drained.
        first: that in which the phase's first word was read.
        earliest: that in which the next phase's can be.
        loaded: that in which the last beat of the last tile of weights came.
        released: those from which on the buffers of the last tile and of the one before it are free.
        begun: those in which the softmax of the last tile of tokens and of the one before it began.
        codes: cycles that the phase waited for codes of the phase before, ``epilogue``, ``weights`` and
            ``softmax`` those for these.
    """

    def __init__(self, engine: Engine, functions: int, exponentials: int, digits: int, interval: int) -> None:
        """Nothing was computed yet, and all weights that the engine holds are there.

        Args:
            engine: whose array.
            functions: cycles of a function.
            exponentials: cycles of an exponential.
            digits: of a reciprocal.
            interval: cycles from a beat of weights to the next.
        """
        self.engine, self.interval = engine, interval
        self.f_latency, self.e_latency = functions, exponentials
        self.settle = SETTLE + functions
        #: Fewest cycles from one tile's exponentials to the next one's: a division takes as long.
        self.steps = digits + 1
        self.begin, self.words, self.rows = NEVER, 0, 0
        self.loaded, self.released = NEVER, (NEVER, NEVER)
        self.first = self.codes = self.epilogue = self.weights = self.softmax = 0
        self.start(0)

    def start(self, cycle: int) -> None:
        """An image begins."""
        self.earliest = cycle + 1
        self.begun = NEVER, NEVER

    @property
    def end(self) -> int:
        """The last cycle of an image whose phases have all been."""
        return max(self.earliest, self.begin + self.words + self.rows + self.settle)

    def division(self, keys: int) -> int:
        """From a tile's start in the softmax to its reciprocals."""
        return keys + self.e_latency + self.steps + 5

    def linear(self, words: int, tiles: int, runs: Iterable[tuple[int, int, int]]) -> int:
        """Rows of weights, tile after tile, each by all tiles of tokens.

        Args:
            words: of the depth.
            tiles: of tokens.
            runs: tiles of weights of a kind: beats that bring one, its rows, how many there are.
        """
        begin, rows, read = NEVER, 0, 0
        loaded, (last, before) = self.loaded, self.released
        for beats, height, count in runs:
            load, step, left = (beats - 1) * self.interval, max(words, height), count
            read += count * tiles * words
            known = None
            while left:
                left -= 1
                was = begin, self.epilogue, self.weights
                # It goes to the buffer of the tile two before it.
                loaded = max(loaded + self.interval, before) + load
                if begin == NEVER:
                    begin = self._open(weights=loaded + 1)
                else:
                    begin += max(words, rows)
                    self.epilogue += max(0, rows - words)
                    if begin <= loaded:
                        self.weights += loaded + 1 - begin
                        begin = loaded + 1
                begin += (tiles - 1) * step
                self.epilogue += (tiles - 1) * (step - words)
                rows = height
                # The last row of its last pass gives the buffer back.
                last, before = begin + words + rows + FLIGHT, last
                now = loaded - begin, before - begin
                if now == known:
                    # Tiles find all as far behind them as the one before did: so do those that follow.
                    more = left * (begin - was[0])
                    begin, loaded, last, before = begin + more, loaded + more, last + more, before + more
                    self.epilogue += left * (self.epilogue - was[1])
                    self.weights += left * (self.weights - was[2])
                    break
                known = now
        self.loaded, self.released = loaded, (last, before)
        self._close(begin, words, rows)
        return read

    def scores(self, words: int, tiles: int, keys: int) -> int:
        """Each tile of tokens by all keys, whose softmax then begins.

        Args:
            words: of the depth.
            tiles: of tokens.
            keys: tokens.
        """
        tokens, most = self.engine.tokens, self.engine.rows8
        # Each tile of keys is multiplied by itself. All passes but the last one, by their rows:
        others, end = divmod(keys - 1, tokens)
        (whole, part), (whole_end, part_end) = divmod(tokens, most), divmod(end + 1, most)
        rows = part_end or most
        many, few = others * whole + whole_end - (not part_end), others * (part > 0)
        advance = many * max(most, words) + few * max(part, words)
        waits, step = advance - (many + few) * words, max(words, rows)
        written = words + FLIGHT + rows + EPILOGUE + self.f_latency
        fewest = max(keys, self.steps + 3)
        begin, (last, before), left = NEVER, self.begun, tiles
        known = None
        while left:
            left -= 1
            was = begin, self.epilogue, self.softmax
            room = before + keys + 1
            if begin == NEVER:
                begin = self._open(softmax=room)
            else:
                begin += step
                self.epilogue += step - words
                if begin < room:
                    self.softmax += room - begin
                    begin = room
            begin += advance
            self.epilogue += waits
            last, before = max(begin + written, last + fewest), last
            now = last - begin, before - begin
            if now == known:
                more = left * (begin - was[0])
                begin, last, before = begin + more, last + more, before + more
                self.epilogue += left * (self.epilogue - was[1])
                self.softmax += left * (self.softmax - was[2])
                break
            known = now
        self.begun = last, before
        self._close(begin, words, rows)
        return tiles * (many + few + 1) * words

    def values(self, words: int, tiles: int, parts: int, rows: int, there: int = NEVER) -> int:
        """Channels of values, part after part, each by all tiles of probabilities or of ones.

        Args:
            words: of the depth.
            tiles: of tokens.
            parts: as many channels as a tile has rows, or fewer.
            rows: channels of the last part.
            there: the cycle from which on the last tile's reciprocals are there.
        """
        most = self.engine.rows8
        many, few = (parts - 1) * tiles, tiles - 1
        advance = many * max(most, words) + few * max(rows, words)
        begin = self._open(softmax=there) + advance
        self.epilogue += advance - (many + few) * words
        self._close(begin, words, rows)
        return (many + few + 1) * words

    def norm(self, cycles: int) -> int:
        """From when the stream is there; its codes are there at its end."""
        self._close(self._open(), cycles, -self.settle)
        return 0

    def _open(self, weights: int = NEVER, softmax: int = NEVER) -> int:
        """The cycle of a phase's first word, before which nothing was waited for."""
        at, there = self.earliest, self.begin + self.words + self.rows + self.settle
        self.codes = max(0, there - at)
        at += self.codes
        self.softmax = max(0, softmax - at)
        at += self.softmax
        self.weights = max(0, weights - at)
        self.epilogue = 0
        self.first = at + self.weights
        return self.first

    def _close(self, begin: int, words: int, rows: int) -> None:
        """After the last pass of a phase."""
        self.begin, self.words, self.rows = begin, words, rows
        self.earliest = begin + words + SWITCH
