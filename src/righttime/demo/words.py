"""The words the tasks are made of. No word stands in two of the categories, so that an odd one out is one."""

from __future__ import annotations

__all__ = ["CATEGORIES", "CITIES", "JOBS", "MONTHS", "NAMES", "NUMBER_WORDS", "SURNAMES", "WEEKDAYS", "WORDS", "words"]


def words(text: str) -> tuple[str, ...]:
    """The words of a text: a tuple that is easier to read and to add to than one in quotation marks.

    Example:
        >>> words("spring summer")
        ('spring', 'summer')
    """
    return tuple(text.split())


NAMES = words("""
    Ada Amir Anika Bela Bruno Carla Chidi Dalia Diego Edith Elias Farah Felix Greta Hanna Hugo Imani Ines Ivan
    Jonas Kavya Kenji Lena Liam Lucia Malik Marta Milo Nadia Nora Omar Oscar Petra Priya Quentin Rania Rosa Samir
    Selma Tariq Tessa Ugo Vera Viktor Wanda Yara Yusuf Zoe
""")

SURNAMES = words("""
    Abara Becker Castillo Dahl Eriksen Fontaine Gallo Haddad Ito Jansen Kowalski Lindqvist Mbeki Novak Okafor Patel
    Quist Rossi Santos Tanaka Ueda Vargas Weber Yilmaz Zhang
""")

CITIES = words("""
    Accra Athens Bergen Bogota Cairo Cork Dakar Delhi Dublin Geneva Ghent Hanoi Helsinki Izmir Kyoto Lagos Leeds Lima
    Lisbon Lyon Malmo Montreal Nairobi Naples Oslo Porto Prague Quito Riga Rabat Seoul Seville Tampere Tunis Turin
    Utrecht Vienna Warsaw York Zagreb
""")

JOBS = words("""
    accountant architect baker barber carpenter chemist cook dentist designer editor electrician farmer florist
    gardener glazier judge lawyer librarian mechanic midwife musician nurse optician painter pharmacist pilot plumber
    potter surveyor tailor teacher translator vet waiter welder
""")

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animals": words("""
        badger beaver camel donkey eagle falcon ferret giraffe hamster heron horse jackal kangaroo lizard monkey
        otter panther parrot penguin rabbit raven salmon sheep squirrel tiger tortoise walrus weasel wolf zebra
"""),
    "fruits": words("""
        apple apricot banana blueberry cherry coconut grape grapefruit guava lemon lychee mango melon papaya pear
        pineapple plum pomegranate raspberry strawberry
"""),
    "tools": words("chisel drill hammer mallet pliers rake saw screwdriver shovel spanner trowel wrench"),
    "clothes": words("blouse cardigan coat glove hat jacket jumper scarf shirt skirt sock trousers waistcoat"),
    "instruments": words("accordion banjo cello clarinet flute guitar harp oboe piano trombone trumpet violin"),
    "furniture": words("armchair bed bench bookcase cabinet cupboard desk shelf sofa stool table wardrobe"),
    "vehicles": words("bicycle bus canoe ferry helicopter lorry motorbike scooter tractor train tram van"),
    "colours": words("beige black blue brown crimson green grey pink purple red scarlet turquoise white yellow"),
    "vegetables": words("aubergine broccoli cabbage carrot celery leek lettuce onion potato radish spinach turnip"),
    "weather": words("blizzard cloud drizzle fog frost hail hurricane rain sleet snow storm thunder"),
}

WORDS = tuple(word for members in CATEGORIES.values() for word in members)

MONTHS = words("January February March April May June July August September October November December")

WEEKDAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

NUMBER_WORDS = words("zero one two three four five six seven eight nine ten eleven twelve")
