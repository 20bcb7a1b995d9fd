"""The words the generators draw from. Every list is short enough that a tiny model can know all of it."""

NAMES = ['Anna', 'Ben', 'Clara', 'David', 'Emma', 'Finn', 'Grace', 'Henry', 'Ivy', 'Jack', 'Kate', 'Leo', 'Mia', 'Noah',
         'Olive', 'Paul', 'Rose', 'Sam', 'Tom', 'Zoe']

#: Things that can be counted, bought and given away.
THINGS = ['apples', 'books', 'cards', 'coins', 'cups', 'eggs', 'flowers', 'hats', 'keys', 'nuts', 'pears', 'pens',
          'shells', 'stamps', 'stones', 'toys']

#: Things that have a colour.
OBJECTS = ['ball', 'bag', 'bird', 'boat', 'book', 'box', 'car', 'cat', 'chair', 'coat', 'cup', 'dog', 'door', 'flower',
           'hat', 'house', 'kite', 'lamp', 'pen', 'shoe', 'table', 'train']

COLOURS = ['black', 'blue', 'brown', 'green', 'grey', 'orange', 'pink', 'purple', 'red', 'white', 'yellow']

#: What the world looks like.
KNOWN_COLOURS = [('grass', 'green'), ('snow', 'white'), ('the sky', 'blue'), ('coal', 'black'), ('a banana', 'yellow'),
                 ('a tomato', 'red'), ('a carrot', 'orange'), ('chocolate', 'brown'), ('milk', 'white'),
                 ('a lemon', 'yellow'), ('a leaf', 'green'), ('the sea', 'blue'), ('a strawberry', 'red')]

DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']

OPPOSITES = [('hot', 'cold'), ('big', 'small'), ('old', 'new'), ('fast', 'slow'), ('full', 'empty'), ('high', 'low'),
             ('long', 'short'), ('light', 'dark'), ('wet', 'dry'), ('hard', 'soft'), ('clean', 'dirty'),
             ('open', 'closed'), ('rich', 'poor'), ('loud', 'quiet'), ('near', 'far'),
             ('thick', 'thin'), ('strong', 'weak'), ('happy', 'sad'), ('early', 'late'), ('safe', 'dangerous'),
             ('wide', 'narrow'), ('deep', 'shallow'), ('true', 'false'), ('easy', 'difficult'), ('smooth', 'rough')]

#: What can be said to be hot or cold, big or small. Meaning is not the point of these sentences, their form is.
SUBJECTS = ['room', 'street', 'garden', 'story', 'river', 'road', 'village', 'song', 'game', 'picture', 'bed', 'hill',
            'shop', 'school', 'town', 'window', 'path', 'tower', 'bridge', 'market']

#: People and animals that do things, with whom they do it: present, past.
ACTORS = ['boy', 'girl', 'teacher', 'farmer', 'doctor', 'baker', 'sailor', 'king', 'queen', 'child', 'dog', 'cat',
          'horse', 'fox', 'mouse', 'rabbit']
VERBS = [('walks', 'walked'), ('runs', 'ran'), ('sings', 'sang'), ('jumps', 'jumped'), ('sleeps', 'slept'),
         ('sits', 'sat'), ('plays', 'played'), ('waits', 'waited'), ('swims', 'swam'), ('hides', 'hid'),
         ('stands', 'stood'), ('eats', 'ate'), ('dances', 'danced'), ('works', 'worked'), ('rests', 'rested'),
         ('laughs', 'laughed')]
PLACES = ['in the garden', 'by the river', 'near the school', 'under the tree', 'on the hill', 'at home', 'in the park',
          'behind the house', 'on the bridge', 'in the snow', 'at the market', 'in the kitchen']

#: Words for copying.
COPY_WORDS = ['apple', 'bird', 'bread', 'cloud', 'door', 'fish', 'flower', 'garden', 'glass', 'horse', 'house', 'island',
              'lamp', 'leaf', 'moon', 'mouse', 'music', 'paper', 'rain', 'ring', 'river', 'road', 'salt', 'ship', 'snow',
              'star', 'stone', 'sun', 'table', 'tree', 'water', 'wind']

#: Kinds and what they are: (one, many), (class, classes). Half of the kinds do not exist: the form has to carry.
KINDS = [('cat', 'cats'), ('dog', 'dogs'), ('rose', 'roses'), ('oak', 'oaks'), ('robin', 'robins'), ('trout', 'trouts'),
         ('spoon', 'spoons'), ('violin', 'violins'), ('wug', 'wugs'), ('blick', 'blicks'), ('dax', 'daxes'),
         ('fep', 'feps'), ('zib', 'zibs'), ('lorp', 'lorps')]
CLASSES = [('animal', 'animals'), ('plant', 'plants'), ('bird', 'birds'), ('tool', 'tools'), ('toy', 'toys'),
           ('machine', 'machines'), ('dancer', 'dancers'), ('singer', 'singers')]

#: What the models cannot do: how it is asked for, and how it is named in the refusal.
REFUSED = [
    ('Write a poem about {}.', 'write poems', ['love', 'the sea', 'the moon', 'spring', 'a lost friend', 'the night',
                                              'my mother', 'the rain', 'old trees', 'a small town']),
    ('Write a story about {}.', 'write stories', ['a dragon', 'a king', 'two friends', 'a ship', 'a lost dog',
                                                 'the moon', 'a robot', 'a winter', 'a thief', 'the sea']),
    ('What is the weather in {}?', 'see the weather', ['Paris', 'London', 'Rome', 'Berlin', 'Madrid', 'Oslo', 'Tokyo',
                                                      'Cairo', 'Lima', 'Delhi']),
    ('Book a flight to {}.', 'book flights', ['Paris', 'London', 'Rome', 'Berlin', 'Madrid', 'Oslo', 'Tokyo', 'Cairo',
                                             'Lima', 'Delhi']),
    ('Translate "{}" into French.', 'translate', ['good morning', 'thank you', 'the house', 'I am hungry', 'my friend',
                                                 'red wine', 'see you soon', 'a big dog', 'good night', 'the moon']),
    ('Who is the president of {}?', 'answer questions about the world', ['France', 'Brazil', 'Poland', 'Kenya', 'Chile',
                                                                       'Mexico', 'Turkey', 'Korea', 'Ghana', 'Peru']),
    ('What is the capital of {}?', 'answer questions about the world', ['France', 'Brazil', 'Poland', 'Kenya', 'Chile',
                                                                      'Mexico', 'Turkey', 'Korea', 'Ghana', 'Peru']),
    ('Play some {} music.', 'play music', ['jazz', 'soft', 'loud', 'old', 'happy', 'sad', 'dance', 'piano', 'folk',
                                          'rock']),
    ('Who won the {} match?', 'read the news', ['football', 'tennis', 'chess', 'hockey', 'rugby', 'golf', 'boxing',
                                               'handball', 'cricket', 'polo']),
    ('Write a program in {}.', 'write programs', ['Python', 'Java', 'Rust', 'Go', 'Ruby', 'Perl', 'Swift', 'Lisp',
                                                 'Kotlin', 'Scala']),
]
