"""One line a case: the JSON file's keys, and the table on the screen."""
import json
import statistics

KEYS = ["case", "shape", "dtype", "peer", "ms", "peer_ms", "ratio", "peak_share", "rss_mb", "peer_rss_mb"]


def spread(values):
    return [min(values), statistics.median(values), max(values)]


def compared(mine, theirs=None):
    """Medians over the rounds, and the ratio taken round by round: how many times longer the peer takes."""
    line = {"ms": statistics.median(mine), "ms_spread": spread(mine)}
    if theirs:
        ratios = [b / a for a, b in zip(mine, theirs)]
        line.update(peer_ms=statistics.median(theirs), peer_ms_spread=spread(theirs),
                    ratio=statistics.median(ratios), ratio_spread=spread(ratios))
    return line


def ordered(line):
    """The ten keys in their order, null where there is nothing; whatever else there is after them."""
    return {**{key: line.get(key) for key in KEYS}, **{key: value for key, value in line.items() if key not in KEYS}}


class Report:
    def __init__(self, file=None):
        self.lines = []
        self.file = open(file, "w", encoding="utf-8") if file else None

    def add(self, line):
        line = ordered(line)
        self.lines.append(line)
        if self.file:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
        print_row(line, heading=len(self.lines) == 1)


def number(value, digits=0):
    return "" if value is None else f"{value:.{digits}f}"


def number_range(values, digits):
    return "" if not values else f"{values[0]:.{digits}f}-{values[2]:.{digits}f}"


def print_row(line, heading):
    if heading:
        print(f"{'case':<28}{'shape':<14}{'dtype':<10}{'peer':<34}{'ms':>9}{'low-high':>15}{'peer ms':>9}{'low-high':>15}"
              f"{'ratio':>7}{'low-high':>13}{'peak':>6}{'MB':>7}{'peer MB':>9}  more", flush=True)
    digits = 1 if (line["ms"] or 0) < 100 else 0
    share = "" if line["peak_share"] is None else f"{100 * line['peak_share']:.0f}%"
    print(f"{line['case']:<28}{line['shape'] or '':<14}{line['dtype'] or '':<10}{line['peer'] or '':<34}"
          f"{number(line['ms'], digits):>9}{number_range(line.get('ms_spread'), digits):>15}"
          f"{number(line['peer_ms'], digits):>9}{number_range(line.get('peer_ms_spread'), digits):>15}"
          f"{number(line['ratio'], 2):>7}{number_range(line.get('ratio_spread'), 2):>13}{share:>6}"
          f"{number(line['rss_mb']):>7}{number(line['peer_rss_mb']):>9}  {line.get('note', '')}", flush=True)
