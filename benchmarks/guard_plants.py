"""Rows with known leaks: made rows, and what is done to a target row before it is put into the pool.

Kinds of `TUNING` were looked at when the guard's constants were set, those of `HELD_OUT` only to judge them. `NO_LEAK`
are near a target row and give nothing away.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

Row = dict[str, Any]
PARTS = ("prompt", "response")
Change = Callable[[Row, random.Random], Row]


def _listed(text: str, between: str = " ") -> list[str]:
    return text.split(between)


SYLLABLES = _listed("bär cór dal fen gor hal jin kel lor mar nev ost pel quin ros sel tor und vas wil yar zen")
FIRST = _listed(
    "Anna Boris Carla Dmitri Elena Felix Greta Hugo Irina Jonas Katya Leo Marta Nils Olga Pavel Rosa Stefan Tanya "
    "Viktor Wanda Yusuf Zora Amir Bianca Cyril Dora Emil Fatima Goran"
)
OTHER = _listed(
    "Adele Bruno Chiara Dario Esther Fabio Gina Henrik Ivana Joel Klara Lukas Mina Nadia Oskar Petra Ralf Sonia"
)
GOODS = _listed(
    "apples candles bricks notebooks lanterns tickets baskets carpets bottles umbrellas postcards radios hammers "
    "sandwiches seedlings mirrors kettles marbles ribbons pillows stamps violins helmets ladders pumpkins blankets"
)
PLACES = _listed(
    "market harbour library station bakery orchard museum theatre workshop garden stadium pharmacy airport mill "
    "monastery quarry lighthouse nursery brewery shipyard"
)
VERBS = _listed("sold packed delivered painted repaired collected shipped wrapped counted bought")
DAYS = _listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
ADJECTIVES = _listed(
    "old narrow wooden golden silent frozen crowded famous steep quiet muddy bright hidden rusty royal"
)
MATERIALS = _listed("granite oak copper marble limestone iron brick cedar slate glass bronze sandstone")
TRADES = _listed("fishing weaving glass salt timber pottery silk beer clocks wool tin paper")
TOPICS = _listed(
    "grow tomatoes on a balcony|repair a leaking tap|learn a poem by heart|train a nervous puppy|bake sourdough bread|"
    "fold a paper crane|plan a night hike|clean a cast iron pan|tune a ukulele|build a birdhouse|make a compost heap|"
    "prepare for a job interview|photograph the moon|patch a bicycle tube|brew green tea|carve a wooden spoon|"
    "sharpen a kitchen knife|write a letter of complaint|store potatoes over winter|paint a rusty gate",
    "|",
)
STEPS = _listed(
    "begin with a {a} {m} surface near the {p}|keep the {g} away from direct sunlight|wait until {d} before you go on|"
    "ask someone from the {p} to hold the {g}|write down what you did with the {m}|use less water than you think|"
    "check each of the {g} twice|let the {a} parts rest overnight|throw away whatever smells of {t}|"
    "borrow a {a} tool from the {p}|measure the {m} twice before you cut|put the {g} into a {a} box|"
    "never rush the part with the {m}|compare it with the {g} that you made on {d}|rub a little {t} oil on the {m}",
    "|",
)
SYNONYMS: Mapping[str, str] = {
    "how many": "what number of", "bought": "purchased", "sold": "traded away", "big": "large", "small": "little",
    "old": "ancient", "famous": "well known", "quiet": "calm", "begin": "start", "built": "constructed",
    "collected": "gathered", "repaired": "fixed", "delivered": "brought", "sentence": "phrase", "question": "query",
    "answer": "reply", "given": "provided", "write": "compose", "because": "since", "people": "persons",
    "children": "kids", "near": "close to", "every": "each", "town": "settlement", "river": "stream", "many": "lots of",
    "wait": "hold on", "before": "prior to", "keep": "hold", "use": "employ", "also": "too", "only": "just",
    "explain": "describe", "made": "produced", "called": "named", "needs": "requires", "gave": "handed",
    "left": "remaining", "began": "started", "shop": "store", "says": "states", "think": "believe", "house": "home",
    "often": "frequently", "hard": "difficult", "quickly": "fast", "start": "begin", "want": "wish", "happy": "glad",
    "throw away": "discard", "near the": "beside the", "find": "locate", "choose": "pick", "correct": "right",
    "whole": "entire", "job": "work", "wrong": "incorrect", "angry": "upset", "buy": "purchase", "get": "obtain",
}  # fmt: skip
NUMBER_WORDS = _listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = _listed("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
FILLERS = ("Well,", "By the way,", "As you may know,", "Note that", "In this case,", "To be clear,")
LIGHT = frozenset(_listed("a an the of to in on at by for with from is are was were that this it its and"))


def name(rng: random.Random) -> str:
    """A name that nothing has."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 3)))).capitalize()


def story(rng: random.Random) -> Row:
    """A word problem."""
    a, b, c = rng.randint(12, 96), rng.randint(12, 96), rng.randint(2, 11)
    one, other = rng.sample(FIRST, 2)
    goods, place, verb = rng.choice(GOODS), rng.choice(PLACES), rng.choice(VERBS)
    first, second = rng.sample(DAYS, 2)
    openings = (
        f"{one} works at the {rng.choice(ADJECTIVES)} {place}.",
        f"On {first} morning a {rng.choice(ADJECTIVES)} {place} hired {one}.",
        f"At the {place} of {name(rng)}, {one} is known for {rng.choice(TRADES)}.",
    )
    middles = (
        f"On {first} {one} {verb} {a} {goods}, and on {second} another {b} {goods}.",
        f"There {one} {verb} {a} {goods} while {other} {verb} {b} of them.",
        f"{other} brought {a} {goods} to {one}, who {verb} {b} more before {second}.",
    )
    ends = (
        (f"Each of them weighs {c} grams. How many grams do all the {goods} weigh?", (a + b) * c),
        (f"Then {c} of the {goods} broke. How many {goods} were left?", a + b - c),
        (f"{other} pays {c} coins for each. How many coins does {one} get in the end?", (a + b) * c),
    )
    end, answer = rng.choice(ends)
    prompt = f"{rng.choice(openings)} {rng.choice(middles)} {end}"
    return {"prompt": prompt, "response": f"There are {a + b} {goods} in all, so the answer is {answer}."}


def passage(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """A passage, and questions about it with their answers."""
    town, river, who, king = (name(rng) for _ in range(4))
    year, length = rng.randint(1203, 1897), rng.randint(41, 960)
    stone, trade, place = rng.choice(MATERIALS), rng.choice(TRADES), rng.choice(PLACES)
    facts = [
        f"{town} is a {rng.choice(ADJECTIVES)} town on the river {river}.",
        f"Its bridge of {stone} was finished in {year} and is {length} metres long.",
        f"The architect {who} drew it for king {king}, who never saw it.",
        f"For centuries its people lived on {trade}, until the {place} was opened.",
        f"Every {rng.choice(DAYS)} the {rng.choice(GOODS)} of the region are shown at the {place}.",
        f"A {rng.choice(ADJECTIVES)} fire in {year + rng.randint(20, 90)} spared only the {rng.choice(PLACES)}.",
    ]
    questions = [
        (f"Which river flows past {town}?", river),
        ("In which year was the bridge finished?", str(year)),
        ("Who drew the bridge?", who),
        ("What did the people live on for centuries?", trade),
        ("What is the bridge made of?", stone),
        ("For which king was the bridge drawn?", king),
    ]
    return " ".join(facts), questions


def asked(text: str, question: str) -> str:
    return f"{text}\n\n{question}"


def reading(rng: random.Random) -> Row:
    """A question about a passage of its own; the other questions are kept beside it."""
    text, questions = passage(rng)
    rng.shuffle(questions)
    question, answer = questions[0]
    return {"prompt": asked(text, question), "response": answer, "passage": text, "others": questions[1:]}


def guide(rng: random.Random) -> Row:
    """Advice, with a long answer."""
    topic, place = rng.choice(TOPICS), rng.choice(PLACES)
    words = {"a": rng.choice(ADJECTIVES), "m": rng.choice(MATERIALS), "p": place, "g": rng.choice(GOODS)}
    words |= {"t": rng.choice(TRADES), "d": rng.choice(DAYS)}
    steps = [step.format(**words) for step in rng.sample(STEPS, 5)]
    who = rng.choice(("a beginner", "my grandmother", "a busy student", "two impatient children", "our whole club"))
    prompt = f"How can {who} {topic} near the {words['a']} {place} of {name(rng)} with {rng.choice(GOODS)}?"
    return {"prompt": prompt, "response": " ".join(f"{step.capitalize()}." for step in steps)}


DEFINITION = (
    "You will be given a short statement about a place. Decide whether it is praise or complaint, and answer with one "
    "of these two words only. Do not explain your answer and do not repeat the statement.\n\nStatement: "
)


def labelled(rng: random.Random) -> Row:
    """A statement under a long definition that every such row has, and one of two labels."""
    good = rng.random() < 0.5
    feeling = "was a joy to visit" if good else "was a waste of an afternoon"
    text = f"The {rng.choice(ADJECTIVES)} {rng.choice(PLACES)} of {name(rng)} with its {rng.choice(GOODS)} {feeling}."
    return {"prompt": DEFINITION + text, "response": "praise" if good else "complaint"}


MAKERS = (story, story, reading, guide, labelled)


def made_rows(count: int, seed: str) -> list[Row]:
    """So many rows of all sorts, the sorts in turn."""
    rng = random.Random(seed)
    return [MAKERS[number % len(MAKERS)](rng) for number in range(count)]


def with_prompt(row: Row, prompt: str) -> Row:
    return {**row, "prompt": prompt}


def sentences(text: str) -> list[str]:
    return [part.strip() for part in re.findall(r"[^.?!]+[.?!]*", text) if part.strip()]


def copied(row: Row, _: random.Random) -> Row:
    return dict(row)


def spaced(row: Row, _: random.Random) -> Row:
    return with_prompt(row, "\n " + row["prompt"].replace(" ", "  ") + "\t")


def decomposed(row: Row, _: random.Random) -> Row:
    return {**row, **{part: unicodedata.normalize("NFD", row[part]) for part in PARTS}}


def upper(row: Row, _: random.Random) -> Row:
    return with_prompt(row, row["prompt"].upper())


def exclaimed(row: Row, _: random.Random) -> Row:
    return with_prompt(row, row["prompt"] + "!")


def zero_width(row: Row, rng: random.Random) -> Row:
    return with_prompt(row, re.sub(r"(?<=\w)(?=\w)", lambda _: "\u200b" if rng.random() < 0.2 else "", row["prompt"]))


def full_width(row: Row, _: random.Random) -> Row:
    return with_prompt(row, "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in row["prompt"]))


def prefixed(row: Row, rng: random.Random) -> Row:
    before = rng.choice(("Please answer the following carefully.", "You are an expert. Think first.", "Question:"))
    return with_prompt(row, f"{before} {row['prompt']}")


def embedded(row: Row, rng: random.Random) -> Row:
    before, after = guide(rng), guide(rng)
    text = f"{before['prompt']} {before['response']}\n\n{row['prompt']}\n\n{after['prompt']} {after['response']}"
    return {"prompt": text, "response": f"{row['response']} {after['response']}"}


def later_turn(row: Row, rng: random.Random) -> Row:
    first = guide(rng)
    turns = [("user", first["prompt"]), ("assistant", first["response"])]
    turns += [("user", row["prompt"]), ("assistant", row["response"])]
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def shuffled(row: Row, rng: random.Random) -> Row:
    words = row["prompt"].split()
    rng.shuffle(words)
    return with_prompt(row, " ".join(words))


def other_response(row: Row, _: random.Random) -> Row:
    return {**row, "prompt": row["prompt"].lower(), "response": "I would rather not say."}


def response_only(row: Row, rng: random.Random) -> Row:
    return with_prompt(row, guide(rng)["prompt"])


def renamed(row: Row, rng: random.Random) -> Row:
    """Every word with a capital inside a sentence by another one, in the answer too."""
    found = list(dict.fromkeys(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b", row["prompt"])))
    new = {word: rng.choice(OTHER) if word in FIRST else name(rng) for word in found}
    text = {part: re.sub(r"\b[A-Z][a-z]+\b", lambda m: new.get(m[0], m[0]), row[part]) for part in PARTS}
    return {**row, **text}


def synonyms(row: Row, _: random.Random) -> Row:
    prompt = row["prompt"]
    for word, other in SYNONYMS.items():
        prompt = re.sub(rf"\b{word}\b", other, prompt, flags=re.IGNORECASE)
    return with_prompt(row, prompt)


def reordered(row: Row, rng: random.Random) -> Row:
    """Its sentences in another order, the last one last."""
    *first, last = sentences(row["prompt"])
    rng.shuffle(first)
    return with_prompt(row, " ".join([*first, last]))


def filled(row: Row, rng: random.Random) -> Row:
    return with_prompt(row, " ".join(f"{rng.choice(FILLERS)} {s[0].lower()}{s[1:]}" for s in sentences(row["prompt"])))


def in_letters(number: str) -> str:
    n = int(number)
    if n < 20:
        return NUMBER_WORDS[n]
    return TENS[n // 10] + (f"-{NUMBER_WORDS[n % 10]}" if n % 10 else "")


def spelled(row: Row, _: random.Random) -> Row:
    """Numbers up to 99 in letters."""
    return with_prompt(row, re.sub(r"\b\d{1,2}\b", lambda m: in_letters(m[0]), row["prompt"]))


def restated(row: Row, _: random.Random) -> Row:
    """The question as an order."""
    ways = (
        (r"How many (.+?) (were left|do all|does)\b(.*)\?$", r"Work out the number of \1 that \2\3."),
        (r"(?:In )?[Ww]hich (\w+) (.+)\?$", r"Name the \1 that \2."),
        (r"Who (.+)\?$", r"Give the name of the person who \1."),
        (r"What (.+)\?$", r"Say what \1."),
        (r"For which (.+)\?$", r"State for which \1."),
        (r"How can (.+)\?$", r"Describe a way in which \1."),
    )
    *first, last = sentences(row["prompt"])
    for pattern, other in ways:
        last, done = re.subn(pattern, other, last)
        if done:
            break
    else:
        last = f"Now to your task: {last}"
    return with_prompt(row, " ".join([*first, last]))


def mistyped(row: Row, rng: random.Random) -> Row:
    """Two letters changed places in every sixth longer word."""

    def typo(found: re.Match[str]) -> str:
        word = found[0]
        if rng.random() > 1 / 6:
            return word
        at = rng.randrange(1, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return with_prompt(row, re.sub(r"\b[a-z]{5,}\b", typo, row["prompt"]))


def telegraphic(row: Row, _: random.Random) -> Row:
    return with_prompt(row, " ".join(word for word in row["prompt"].split() if word.lower() not in LIGHT))


def mixed(row: Row, rng: random.Random) -> Row:
    """Synonyms, other names, and the question as an order."""
    return restated(synonyms(renamed(row, rng), rng), rng)


def other_numbers(row: Row, rng: random.Random) -> Row:
    """Every number by another one, in the answer too."""
    change: dict[str, str] = {}

    def other(found: re.Match[str]) -> str:
        return change.setdefault(found[0], str(int(found[0]) + rng.randint(1, 9)))

    return {**row, **{part: re.sub(r"\d+", other, row[part]) for part in PARTS}}


def other_question(row: Row, rng: random.Random) -> Row:
    question, answer = rng.choice(row["others"])
    return {"prompt": asked(row["passage"], question), "response": answer}


def same_definition(row: Row, rng: random.Random) -> Row:
    del row
    return labelled(rng)


EXACT: Mapping[str, Change] = {
    "copy": copied, "white space": spaced, "NFD": decomposed, "upper case": upper, "added !": exclaimed,
    "zero-width marks": zero_width, "full-width letters": full_width, "another response": other_response,
}  # fmt: skip
NEAR: Mapping[str, Change] = {
    "prefix": prefixed, "inside a longer row": embedded, "a later turn": later_turn, "words shuffled": shuffled,
    "response only": response_only,
}  # fmt: skip
TUNING: Mapping[str, Change] = {
    "synonyms": synonyms, "other names": renamed, "sentences reordered": reordered, "fillers": filled,
    "numbers in letters": spelled,
}  # fmt: skip
HELD_OUT: Mapping[str, Change] = {
    "question as an order": restated, "typing errors": mistyped,
    "small words dropped": telegraphic, "names, synonyms and order": mixed,
}  # fmt: skip
NO_LEAK: Mapping[str, Change] = {
    "other numbers": other_numbers, "another question on the passage": other_question,
    "the same definition": same_definition,
}  # fmt: skip


def fits(kind: str, row: Row) -> bool:
    """Whether a kind of change makes another row of this one."""
    templated = row["prompt"].startswith(DEFINITION)
    special: dict[str, Callable[[], bool]] = {
        "another question on the passage": lambda: "others" in row,
        "the same definition": lambda: templated,
        "response only": lambda: len(row["response"].split()) >= 25,
        "other numbers": lambda: other_numbers(row, random.Random(0))["response"] != row["response"],
        "NFD": lambda: decomposed(row, random.Random(0)) != row,
        "sentences reordered": lambda: len(sentences(row["prompt"])) > 2 and not templated,
    }
    if kind in special:
        return special[kind]()
    change = {**EXACT, **NEAR, **TUNING, **HELD_OUT}[kind]
    return kind in EXACT or (not templated and change(row, random.Random("fits")) != row)
