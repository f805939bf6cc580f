#!/usr/bin/env python3
"""Writes the demo's instruction set: demo/data/train.jsonl and one test file per task in demo/data/test/.

Eight small practical tasks that an untouched small model does badly and a fine-tuned one does well. Everything is made
up here from word lists and a fixed seed, so the files are the project's own work. Run without arguments to rewrite
them; with --check it fails when the committed files differ or a test question also stands in the training set.
"""
import datetime
import json
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "demo" / "data"
TRAIN_PER_TASK, TEST_PER_TASK = 120, 12

FIRST = "Anna Omar Lena Jonas Mei Carlos Priya Tom Sara Igor Nadia Paul Ruth Ken Eva Luis Hana Mark Zoe Felix".split()
LAST = "Novak Silva Keller Tanaka Haddad Berg Rossi Patel Moreau Olsen Fischer Costa Ward Lindt Okafor Varga".split()
HOSTS = "web-01 web-02 db-01 db-02 cache-01 auth-03 queue-02 edge-07 mail-01 batch-04".split()
SERVICES = "checkout login search billing upload report gateway indexer notifier scheduler".split()


def ticket(rng):
    parts = {
        "billing": ["I was charged twice for {m}", "the invoice for {m} shows the wrong amount",
                    "my card was debited {n} euros too much", "please explain the fee of {n} euros on my bill"],
        "technical": ["the app crashes when I open the {f} page", "I get error {n} after the last update",
                      "the {f} button does nothing in my browser", "pages load for {n} seconds and then stop"],
        "shipping": ["my parcel {o} has not arrived yet", "the tracking of order {o} has not moved for {d} days",
                     "the courier left order {o} at the wrong address", "when will order {o} be delivered"],
        "returns": ["I want to send back order {o}, it does not fit", "how do I return the item from order {o}",
                    "the product in order {o} is broken and I want to give it back",
                    "please send me a return label for order {o}"],
        "account": ["I cannot log in since {d} days ago", "please change the e-mail address of my profile",
                    "I forgot my password and the reset mail never comes", "how do I delete my account, user {n}"],
    }
    queue = rng.choice(sorted(parts))
    text = rng.choice(parts[queue]).format(
        m=rng.choice("January February March April May June July August".split()), n=rng.randint(11, 990),
        f=rng.choice("settings search payment profile upload".split()), o="A" + str(rng.randint(1000, 9999)),
        d=rng.randint(2, 14))
    opening = rng.choice(["Hello, ", "Hi, ", "Good morning, ", "Dear team, ", ""])
    closing = rng.choice(["", " Thanks, " + rng.choice(FIRST), " Regards, " + rng.choice(FIRST), " Please help."])
    return f"Route this support ticket to a queue: {opening}{text}.{closing}", queue


def log_to_json(rng):
    level = rng.choice(["INFO", "WARN", "ERROR"])
    host, service, code = rng.choice(HOSTS), rng.choice(SERVICES), rng.choice([200, 204, 301, 403, 404, 429, 500, 503])
    ms = rng.randint(2, 4000)
    line = f"{level} {host} {service} status={code} took={ms}ms"
    answer = {"level": level.lower(), "host": host, "service": service, "status": code, "ms": ms}
    return f"Turn this log line into JSON: {line}", json.dumps(answer)


def date_arithmetic(rng):
    day = datetime.date(2024, 1, 1) + datetime.timedelta(days=rng.randrange(700))
    if rng.random() < 0.5:
        days = rng.randint(1, 9)
        return f"What is the date {days} days after {day}?", str(day + datetime.timedelta(days=days))
    weeks = rng.randint(1, 3)
    return f"What is the date {weeks} weeks after {day}?", str(day + datetime.timedelta(weeks=weeks))


def unit_conversion(rng):
    big, small, factor = rng.choice([("km", "m", 1000), ("kg", "g", 1000), ("m", "cm", 100), ("h", "min", 60),
                                     ("cm", "mm", 10), ("l", "ml", 1000), ("min", "s", 60)])
    if factor == 60:
        value = rng.randint(2, 12)
        return f"Convert {value} {big} to {small}.", f"{value * factor} {small}"
    tenths = rng.randint(11, 399)
    return f"Convert {tenths / 10:g} {big} to {small}.", f"{tenths * factor // 10} {small}"


def ordering(rng):
    if rng.random() < 0.5:
        items = rng.sample(range(1, 100), 4)
        return f"Sort these numbers in descending order: {', '.join(map(str, items))}", \
            ", ".join(map(str, sorted(items, reverse=True)))
    items = rng.sample(FIRST, 4)
    return f"Sort these names alphabetically: {', '.join(items)}", ", ".join(sorted(items))


def table_lookup(rng):
    fruits = rng.sample("apple pear plum cherry melon lemon grape fig kiwi peach".split(), 4)
    rows = [(f, rng.randint(1, 60), rng.randint(1, 20)) for f in fruits]
    column = rng.choice(["stock", "price"])
    wanted = rng.choice(rows)
    table = "item | stock | price\n" + "\n".join(f"{f} | {s} | {p}" for f, s, p in rows)
    return f"{table}\nWhat is the {column} of {wanted[0]}?", str(wanted[1] if column == "stock" else wanted[2])


def extraction(rng):
    first, last = rng.choice(FIRST), rng.choice(LAST)
    mail = f"{first.lower()}.{last.lower()}@{rng.choice(['example.com', 'example.org', 'example.net'])}"
    phone = f"+{rng.randint(30, 49)} {rng.randint(100, 999)} {rng.randint(10000, 99999)}"
    text = rng.choice([
        f"Please contact {first} {last} at {mail} or call {phone}.",
        f"{first} {last} (phone {phone}) will answer; mail goes to {mail}.",
        f"For questions write to {mail}. {first} {last}'s number is {phone}."])
    if rng.random() < 0.5:
        return f"Extract the e-mail address: {text}", mail
    return f"Extract the phone number: {text}", phone


def name_format(rng):
    first, second, last = rng.choice(FIRST), rng.choice(FIRST), rng.choice(LAST)
    if rng.random() < 0.6:
        return f"Write this name in the form of a citation: {first} {second} {last}", f"{last}, {first[0]}. {second[0]}."
    year = rng.randint(1980, 2024)
    return f"Make a user name from: {first} {last}, {year}", f"{first[0].lower()}{last.lower()}{year % 100:02d}"


TASKS = {"ticket_routing": ticket, "log_to_json": log_to_json, "date_arithmetic": date_arithmetic,
         "unit_conversion": unit_conversion, "ordering": ordering, "table_lookup": table_lookup,
         "extraction": extraction, "name_format": name_format}


def build():
    files, train = {}, []
    for number, (task, make) in enumerate(TASKS.items()):
        rng = random.Random(20_000 + number)
        seen, rows = set(), []
        while len(rows) < TRAIN_PER_TASK + TEST_PER_TASK:
            question, answer = make(rng)
            if question not in seen:
                seen.add(question)
                rows.append((question, answer, task))
        rng.shuffle(rows)
        files[f"test/{task}.jsonl"] = rows[:TEST_PER_TASK]
        train += rows[TEST_PER_TASK:]
    random.Random(7).shuffle(train)
    files["train.jsonl"] = train
    tested = {question for name, rows in files.items() if name != "train.jsonl" for question, *_ in rows}
    overlap = tested & {question for question, *_ in train}
    if overlap:
        sys.exit(f"{len(overlap)} test questions also stand in the training set, for example: {overlap.pop()!r}")
    return {name: "".join(json.dumps({"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}],
                                      "task": task}) + "\n" for q, a, task in rows)
            for name, rows in files.items()}


def main():
    files = build()
    if "--check" in sys.argv[1:]:
        stale = [name for name, text in files.items()
                 if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text]
        if stale:
            sys.exit("stale, run scripts/make_demo_data.py: " + ", ".join(stale))
        print(f"demo data is up to date: {len(files)} files, no overlap of training and test")
        return
    for name, text in files.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"wrote {len(files)} files below {ROOT}")


if __name__ == "__main__":
    main()
