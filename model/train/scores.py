# SPDX-License-Identifier: LGPL-2.1-or-later
"""What counts as a right answer, and the figures of a list of answers.

A question is a line of questions.jsonl: {"file", "question", "answers", "kind", ...}. An answer is a text.
Every figure (the model's, the majority answer's, the question-only model's) is judged by the same rules."""

import collections
import itertools
import math
import re

NUMBERS = {w: str(i) for i, w in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve".split())}
SAME = {"grey": "gray", "outdoor": "outdoors", "outside": "outdoors", "indoor": "indoors",
        "inside": "indoors", "nighttime": "night", "daytime": "day"}
ABSENCE = re.compile(r"^(no\b|none\b|nothing\b|nobody\b|not\b|there (is|are|was|were) (no|not|none|nothing|"
                     r"nobody)\b|there (isnt|arent)\b|i (see|can see) no\b|i (dont|do not|cant|cannot) see\b|"
                     r"(it|they|that) (is|are) not (there|in)\b)")
NO_COUNT = {"no", "none", "nothing", "nobody"}
FUNCTION_WORDS = set("""a an the is are was were there here it its this that these those in on at of to from with and
or by for as be being some one picture image photo scene shows showing seen see can you we i has have who which
while other another near where also them they he she his her next beside front behind left right middle side
under above below onto out up down off far away close distance foreground background center camera view says say
saying reading text word wearing holding carrying building top""".split())


def plain(text):
    """Lower case without punctuation and a leading article; numbers as digits, one spelling a word."""
    words = re.sub(r"[^\w\s]", "", re.sub(r"[-/]", " ", text.lower())).split()
    words = [SAME.get(w, NUMBERS.get(w, w)) for w in words]
    if len(words) > 1 and words[0] in ("a", "an", "the"):
        words = words[1:]
    return " ".join(words)


def says_absent(text):
    """Whether an answer says that the thing is not there."""
    return bool(ABSENCE.match(plain(text)))


def content(text):
    """The words of a sentence that say something of the picture."""
    return {w for w in plain(text).split() if w not in FUNCTION_WORDS}


def is_right(question, answer):
    """Whether a text answers a question.

    Texts are compared after `plain`. Of a yes or no only the first word counts, and "there is no ..." is a
    no. Of letters in the picture the case and the spaces do not count. A caption is right when all its words
    are true of the picture (the line's "words") and it says at least half of what the reference says."""
    found, truth = plain(answer), [plain(a) for a in question["answers"]]
    kind = question.get("kind")
    if not found:
        return False
    if kind == "caption":
        said = content(answer)
        known = set(itertools.chain(*(content(a) for a in question["answers"]), question.get("words", [])))
        reference = content(question["answers"][0])
        return said <= known and 2 * len(said & reference) >= len(reference) > 0
    if found in truth:
        return True
    if kind == "text" and found.replace(" ", "") in [t.replace(" ", "") for t in truth]:
        return True
    if kind == "absent" and any(says_absent(a) for a in question["answers"]):
        return says_absent(answer)
    if kind == "count" and "0" in truth:
        return found in NO_COUNT or says_absent(answer)
    if "no" in truth and says_absent(answer):
        return True
    return found.split()[0] in truth and found.split()[0] in ("yes", "no")


def majority(questions, candidates=None):
    """(right, text): the one answer that is right for most of the questions"""
    if candidates is None:
        counted = collections.Counter(q["answers"][0] for q in questions)
        candidates = [text for text, _ in counted.most_common(12)]
    best = (0, "")
    for text in candidates:
        right = sum(is_right(q, text) for q in questions)
        if right > best[0]:
            best = (right, text)
    return best


def standard_error(questions, right):
    """Of the share of right answers; questions about one file are not independent, so files are what is
    drawn."""
    n = len(right)
    if n == 0:
        return 0.0
    p = sum(right) / n
    sums = collections.Counter()
    for q, r in zip(questions, right):
        sums[q["file"]] += r - p
    k = len(sums)
    if k < 2:
        return math.sqrt(p * (1 - p) / n)
    return math.sqrt(k / (k - 1) * sum(s * s for s in sums.values())) / n


def figures(questions, answers, guesses=None):
    """{"n", "right", "error", "majority", "majority_answer", "guess"}: shares, of 1"""
    right = [is_right(q, a) for q, a in zip(questions, answers)]
    most, text = majority(questions)
    n = len(questions)
    row = {"n": n, "right": sum(right) / n, "error": standard_error(questions, right),
           "majority": most / n, "majority_answer": text}
    if guesses is not None:
        row["guess"] = sum(is_right(q, g) for q, g in zip(questions, guesses)) / n
    return row


def grouped(questions, key, answers, guesses=None):
    """{key(question): figures}, in the order of the keys; a key of None is left out"""
    groups = collections.defaultdict(list)
    for i, q in enumerate(questions):
        k = key(q)
        if k is not None:
            groups[k].append(i)
    return {k: figures([questions[i] for i in at], [answers[i] for i in at],
                       guesses and [guesses[i] for i in at]) for k, at in sorted(groups.items())}


def weighted(rows):
    """All kinds together: sums over the rows, the majority and the guess by kind."""
    n = sum(r["n"] for r in rows)
    total = {"n": n}
    for key in ("right", "majority", "guess"):
        if all(key in r for r in rows):
            total[key] = sum(r[key] * r["n"] for r in rows) / n
    return total


def true_count(question):
    """The number that is the answer of a count question, else None"""
    if question.get("kind") != "count":
        return None
    digits = [plain(a) for a in question["answers"] if plain(a).isdigit()]
    return int(digits[0]) if digits else 0


def colour_crowd(question):
    """For colour questions: how many things the picture has, by steps"""
    if question.get("kind") != "colour" or "things" not in question:
        return None
    n = question["things"]
    return "1" if n <= 1 else "2 to 3" if n <= 3 else "4 to 6" if n <= 6 else "7 or more"


def size_of(question):
    """How high the thing is that is asked about, by steps"""
    h = question.get("height")
    if h is None:
        return None
    return ("0 to 12 %" if h < 0.125 else "12 to 25 %" if h < 0.25 else "25 to 50 %" if h < 0.5
            else "50 % or more")


def pair_of(question):
    """For colour questions: whether noun and colour ever came together in training"""
    unseen = question.get("unseen_pair") if question.get("kind") == "colour" else None
    return None if unseen is None else "never together in training" if unseen else "seen together"


def wording_of(question):
    """Whether training ever asks in these words"""
    unseen = question.get("unseen_wording")
    return None if unseen is None else "never in training" if unseen else "used in training"


def measure(questions, answers, guesses=None):
    """All figures of a list of answers, ready for JSON."""
    if len(questions) != len(answers):
        raise ValueError("%d questions but %d answers" % (len(questions), len(answers)))
    kinds = grouped(questions, lambda q: q["kind"], answers, guesses)
    every = weighted(list(kinds.values()))
    every["error"] = standard_error(questions, [is_right(q, a) for q, a in zip(questions, answers)])
    found = {"kinds": kinds, "all": every}
    for name, key in (("count", true_count), ("colour", colour_crowd), ("size", size_of), ("pair", pair_of),
                      ("wording", wording_of)):
        rows = grouped(questions, key, answers, guesses)
        if rows:
            found[name] = {str(k): v for k, v in rows.items()}
    captions = [(q, a) for q, a in zip(questions, answers) if q["kind"] == "caption"]
    if captions:
        found["caption"] = caption_figures(captions)
    return found


def caption_figures(pairs):
    """What share of a caption's words is true (precision), and what share of the reference's is said."""
    said = true = wanted = got = 0
    for q, answer in pairs:
        words, reference = content(answer), content(q["answers"][0])
        known = reference | set(q.get("words", []))
        said, true = said + len(words), true + len(words & known)
        wanted, got = wanted + len(reference), got + len(words & reference)
    return {"n": len(pairs), "precision": true / max(said, 1), "recall": got / max(wanted, 1)}


def measure_pairs(questions, answers):
    """Pairs of equal questions whose right answers differ: one who never looks gets half of one at most.

    {"pairs", "both": pairs with both right, "questions": those in a pair, "right": share of these,
    "blind": the best share that the same answer to equal questions can get}"""
    groups = collections.defaultdict(list)
    for i, q in enumerate(questions):
        groups[plain(q["question"])].append(i)
    right = [is_right(q, a) for q, a in zip(questions, answers)]
    pairs = both = 0
    members, blind = set(), 0
    for at in groups.values():
        inside = set()
        for i, j in itertools.combinations(at, 2):
            if {plain(a) for a in questions[i]["answers"]} & {plain(a) for a in questions[j]["answers"]}:
                continue
            pairs += 1
            both += right[i] and right[j]
            inside |= {i, j}
        members |= inside
        blind += majority([questions[i] for i in inside])[0] if inside else 0
    n = len(members)
    return {"pairs": pairs, "both": both, "questions": n,
            "right": sum(right[i] for i in members) / n if n else 0.0, "blind": blind / n if n else 0.0}


def table_of_questions(questions):
    """What a table that knows these very questions and answers, but no picture, gets: a bound for every
    question-only answer."""
    groups = collections.defaultdict(list)
    for q in questions:
        groups[plain(q["question"])].append(q)
    return sum(majority(g)[0] for g in groups.values()) / len(questions)


# ---- Markdown ------------------------------------------------------------------------------------

def percent(x, digits=1):
    return "%.*f %%" % (digits, 100 * x)


def table(kinds, first="kind of question", every=None, goals=None, most=True):
    """The rows of `figures` as a Markdown table; `most`: with the majority answer."""
    guess = any("guess" in r for r in kinds.values())
    head = [first, "n", "right", "standard error"] + ["majority answer"] * most
    head += ["question-only"] * guess + ["goal"] * bool(goals)
    lines = ["| %s |" % " | ".join(head), "|" + "---|" * len(head)]
    rows = list(kinds.items()) + ([("all", every)] if every else [])
    for name, r in rows:
        cells = [str(name), str(r["n"]), percent(r["right"]), "%.1f" % (100 * r.get("error", 0))]
        text = plain(r.get("majority_answer", ""))
        if most:
            cells.append(percent(r["majority"]) + (" (%s)" % text if text and len(text) < 12 else ""))
        if guess:
            cells.append(percent(r["guess"]) if "guess" in r else "")
        if goals:
            cells.append("%d %%" % goals[name] if name in goals else "")
        lines.append("| %s |" % " | ".join(cells))
    return "\n".join(lines)
