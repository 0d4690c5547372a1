# SPDX-License-Identifier: LGPL-2.1-or-later
"""How users ask: the wordings of each kind of question.

In braces: {a} a noun with its article ("a red car"), {n} the noun alone, {p} its plural, {c} a colour; {x} and {y}
two things by definite names ("the car"); {s} a side. The last wordings of each list, behind HELD_OUT, are for the
held-out split alone."""

HELD_OUT = object()      # what follows it in a list is never used in training

PRESENCE = ["Is there {a}?", "Is there {a} in the picture?", "Is there {a} here?", "Do you see {a}?",
            "Can you see {a}?", "Is {a} visible?", "Are there any {p}?", "Any {p}?", "Does the image show {a}?",
            "Is there any {n} in the image?", "Is there {a} in view?", "Are there {p} in the scene?",
            "Do you see any {p}?", "Is {a} in the picture?", "Can {a} be seen?", "Is there at least one {n}?",
            "Are any {p} visible?", "Does the camera see {a}?", "{n}?", "Is there {a} in this frame?",
            HELD_OUT, "Could you tell me whether there is {a}?", "Would you say that there is {a} in this picture?",
            "Have you got {a} in view?"]
PERSON = ["Is anybody there?", "Is anyone there?", "Is there anybody?", "Is somebody there?", "Do you see anyone?",
          "Is there anyone in the picture?", "Can you see anybody?", "Is someone here?", "Are people present?",
          "Is a human visible?", "Does the camera see anybody?", HELD_OUT, "Is there a soul to be seen?",
          "Is anyone around?"]
COLOUR = ["What color is the {n}?", "What colour is the {n}?", "What is the color of the {n}?",
          "Which color is the {n}?", "What is the colour of the {n}?", "Color of the {n}?",
          "Which colour does the {n} have?", "The {n} is what color?", "What color does the {n} have?",
          "Which color has the {n}?", "Tell me the color of the {n}.", "What's the color of the {n}?",
          HELD_OUT, "In what color is the {n}?", "Name the color of the {n}.", "How is the {n} colored?"]
COLOURS = ["What color are the {p}?", "What colour are the {p}?", "Which color are the {p}?", "What is the color of the {p}?",
           "Which color do the {p} have?", "The {p} are what color?", "Color of the {p}?", "What's the color of the {p}?",
           "What color do the {p} have?", "Tell me the color of the {p}.", HELD_OUT, "In what color are the {p}?",
           "Name the color of the {p}."]
CLOTHES = ["What color does the {n} wear?", "What color is the {n} wearing?", "What color are the {n}'s clothes?",
           "Which color are the clothes of the {n}?", "What colour does the {n} wear?", "What color is the {n} dressed in?",
           "What is the color of the {n}'s clothes?", "Which colour does the {n} wear?", "What color are the clothes of the {n}?",
           "What colour is the {n} wearing?", HELD_OUT, "Which color is the {n} dressed in?"]
CHECK = ["Is the {n} {c}?", "Is the {n} {c} in color?", "Is the color of the {n} {c}?", "Does the {n} look {c}?",
         "Is it true that the {n} is {c}?", "Is the {n} colored {c}?", "The {n} is {c}, yes or no?",
         "Is the {n} of {c} color?", "Would you call the {n} {c}?", "Is {c} the color of the {n}?",
         HELD_OUT, "Does the {n} have the color {c}?"]
COUNT = ["How many {p} are there?", "How many {p} are in the picture?", "How many {p} do you see?", "Count the {p}.",
         "How many {p}?", "What is the number of {p}?", "How many {p} can you see?", "How many {p} are in the image?",
         "How many {p} are visible?", "Number of {p}?", "How many {p} are here?", "Tell me how many {p} there are.",
         "How many {p} does the camera see?", HELD_OUT, "What number of {p} is there?", "How many {p} can be counted?",
         "Give me the count of {p}."]
WEARING = ["Is {x} wearing {a}?", "Does {x} wear {a}?", "Does {x} have {a} on?", "Is {x} with {a}?",
           "Has {x} got {a} on?", "Is {x} dressed with {a}?", "Is {a} worn by {x}?", "Can you see {a} on {x}?",
           "Is there {a} on {x}?", "Does {x} have {a}?", HELD_OUT, "Would you say that {x} wears {a}?"]
ANYONE_WEARING = ["Is anyone wearing {a}?", "Is there a person wearing {a}?", "Is there somebody with {a}?",
                  "Does anyone wear {a}?", "Is there a person with {a}?", "Do you see anyone wearing {a}?",
                  "Does somebody wear {a}?", "Is someone wearing {a}?", "Is there anybody in {a}?",
                  "Are there people wearing {p}?", HELD_OUT, "Can you see a person who wears {a}?"]
HOLDING = ["Is {x} holding {a}?", "Does {x} hold {a}?", "Is {x} carrying {a}?", "Does {x} carry {a}?",
           "Has {x} got {a} in the hand?", "Does {x} have {a} in the hand?", "Is {a} held by {x}?",
           "Is {x} with {a}?", "Is {a} carried by {x}?", "Can you see {x} holding {a}?", HELD_OUT,
           "Does {x} have hold of {a}?"]
WHAT_HELD = ["What is {x} holding?", "What does {x} hold?", "What is {x} carrying?", "What does {x} carry?",
             "What has {x} in the hand?", "What does {x} have in the hand?", "What is in the hand of {x}?",
             "What thing is {x} holding?", "What is held by {x}?", "Which thing does {x} hold?", HELD_OUT,
             "Tell me what {x} is holding."]

WHERE = ["Where is {x}?", "Where is {x} in the picture?", "Where do you see {x}?", "In which part is {x}?",
         "Is {x} on the left, in the middle or on the right?", "Where in the image is {x}?",
         "Where can {x} be seen?", "Where's {x}?", "Which part of the picture has {x}?", "Left, middle or right: where is {x}?",
         "Where exactly is {x}?", HELD_OUT, "In what part of the frame is {x}?", "Tell me where {x} is."]
SIDE = ["Is {x} on the left or on the right?", "Is {x} on the left or the right side?", "On which side is {x}, left or right?",
        "Which side is {x} on?", "On what side of the picture is {x}?", "Is {x} left or right?",
        "Is {x} in the left half or in the right half?", "On which side do you see {x}?", "Which side has {x}?",
        "{x}: left or right?", HELD_OUT, "To which side is {x}?"]
IS_SIDE = ["Is {x} on the {s}?", "Is {x} on the {s} side?", "Is {x} in the {s} half?", "Do you see {x} on the {s}?",
           "Is {x} at the {s}?", "Is {x} on the {s} side of the picture?", "Does the {s} half show {x}?",
           "Can {x} be seen on the {s}?", "Is {x} to the {s}?", "Is {x} on the {s} of the image?", HELD_OUT,
           "Would you find {x} on the {s}?"]
ANY_SIDE = ["Is there {a} on the {s}?", "Is there {a} on the {s} side?", "Do you see {a} on the {s}?",
            "Is {a} on the {s}?", "Are there any {p} on the {s}?", "Is there {a} in the {s} half?",
            "Any {p} on the {s}?", "Is there {a} at the {s}?", "Can you see {a} on the {s}?",
            "Is there {a} on the {s} of the picture?", HELD_OUT, "Does the {s} part of the picture have {a}?"]
BESIDE = ["Is {x} to the left or to the right of {y}?", "Is {x} on the left or on the right of {y}?",
          "Is {x} left or right of {y}?", "On which side of {y} is {x}?", "Where is {x}, left or right of {y}?",
          "Is {x} to the left or the right of {y}?", "Seen from here, is {x} left or right of {y}?",
          "Left or right of {y}: where is {x}?", "Which side of {y} is {x} on?", "On what side of {y} is {x}, left or right?",
          HELD_OUT, "To which side of {y} is {x}?"]
IS_BESIDE = ["Is {x} to the {s} of {y}?", "Is {x} {s} of {y}?", "Is {x} on the {s} of {y}?",
             "Is {x} on the {s} side of {y}?", "Do you see {x} to the {s} of {y}?", "Is {x} further {s} than {y}?",
             "Is {x} more to the {s} than {y}?", "Can {x} be seen {s} of {y}?", "Does {x} stand {s} of {y}?",
             "Is {x} at the {s} of {y}?", HELD_OUT, "Would you say that {x} is {s} of {y}?"]
DEPTH = ["Is {x} in front of or behind {y}?", "Is {x} in front of {y} or behind it?", "Is {x} behind or in front of {y}?",
         "Where is {x}, in front of or behind {y}?", "Behind or in front of {y}: where is {x}?",
         "Is {x} before or behind {y}?", "Is {x} in front of {y}, or behind?", "In front of or behind {y}: where is {x}?",
         "Does {x} stand in front of or behind {y}?", "Seen from here, is {x} in front of or behind {y}?", HELD_OUT,
         "Would you say that {x} is in front of {y} or behind?"]
IS_FRONT = ["Is {x} in front of {y}?", "Is {x} nearer than {y}?", "Is {x} closer than {y}?",
            "Is {x} closer to the camera than {y}?", "Does {x} stand in front of {y}?", "Is {x} before {y}?",
            "Do you see {x} in front of {y}?", "Is {x} nearer to us than {y}?", "Can {x} be seen in front of {y}?",
            "Is {x} less far away than {y}?", HELD_OUT, "Would you say that {x} is in front of {y}?"]
IS_BEHIND = ["Is {x} behind {y}?", "Is {x} further away than {y}?", "Is {x} farther than {y}?",
             "Is {x} further from the camera than {y}?", "Does {x} stand behind {y}?", "Is {x} at the back of {y}?",
             "Do you see {x} behind {y}?", "Is {x} more distant than {y}?", "Can {x} be seen behind {y}?",
             "Is {x} less near than {y}?", HELD_OUT, "Would you say that {x} is behind {y}?"]
WHAT_ON = ["What is on {x}?", "What do you see on {x}?", "What stands on {x}?", "What lies on {x}?",
           "What is on top of {x}?", "Which thing is on {x}?", "What thing is on {x}?", "What has {x} on it?",
           "What can be seen on {x}?", "What is there on {x}?", HELD_OUT, "Tell me what is on {x}."]

POSTURE = ["Is {x} {q} or {r}?", "Is {x} {r} or {q}?", "Which is it: is {x} {q} or {r}?", "{q} or {r}: what is {x} doing?",
           "Do you see {x} {q} or {r}?", "Would you say {x} is {q} or {r}?", "What does {x} do, {q} or {r}?",
           "{x}: {q} or {r}?", "Is {x} {q}, or {r}?", "Is it {q} or {r} that {x} is?", HELD_OUT,
           "Can you tell whether {x} is {q} or {r}?"]
DOING = ["What is {x} doing?", "What does {x} do?", "What's {x} doing?", "In which posture is {x}?",
         "What is the posture of {x}?", "Is {x} standing, sitting or lying?", "How is {x} posed?",
         "Standing, sitting or lying: what is {x} doing?", "What do you see {x} doing?", "Which pose has {x}?",
         HELD_OUT, "Tell me what {x} is doing.", "What posture does {x} have?"]
IS_POSTURE = ["Is {x} {q}?", "Do you see {x} {q}?", "Is it true that {x} is {q}?", "Can you see {x} {q}?",
              "{x} is {q}, yes or no?", "Would you say that {x} is {q}?", "Does the picture show {x} {q}?",
              "Is {x} {q} here?", "Is {x} {q} in the picture?", "Does it look like {x} is {q}?", HELD_OUT,
              "Have we got {x} {q}?"]
ANYONE_POSTURE = ["Is anyone {q}?", "Is somebody {q}?", "Is there a person {q}?", "Do you see anyone {q}?",
                  "Is there anybody {q}?", "Are there people {q}?", "Can you see a person {q}?",
                  "Is a person {q} there?", "Does the picture show anyone {q}?", "Anyone {q}?", HELD_OUT,
                  "Could you find anyone {q}?"]

PLACE = ["What kind of place is this?", "What place is this?", "Where is this?", "Where was this taken?",
         "Which place does the picture show?", "What type of place is it?", "Which kind of scene is this?",
         "What is this place?", "Where are we?", "What kind of scene is this?", "What place does the camera see?",
         HELD_OUT, "What sort of place do you see?", "In what kind of place is the camera?"]
IS_PLACE = ["Is this {a}?", "Is it {a}?", "Does the picture show {a}?", "Is the picture taken in {a}?", "Are we in {a}?",
            "Is the place {a}?", "Does this look like {a}?", "Is that {a}?", "Is the camera in {a}?",
            "Would you call this place {a}?", HELD_OUT, "Could this be {a}?"]
PLACE_OR = ["Is this {a} or {b}?", "Is it {a} or {b}?", "Does the picture show {a} or {b}?", "Are we in {a} or in {b}?",
            "What is this, {a} or {b}?", "Which is it: {a} or {b}?", "Is the place {a} or {b}?",
            "Does this look like {a} or {b}?", "Was this taken in {a} or in {b}?", "Is that {a} or {b}?", HELD_OUT,
            "Which one do you see, {a} or {b}?"]
INDOORS = ["Is this indoors or outdoors?", "Is it indoors or outdoors?", "Is the scene indoors or outdoors?",
           "Indoors or outdoors?", "Is the camera indoors or outdoors?", "Was this taken indoors or outdoors?",
           "Outdoors or indoors?", "Is this place indoors or outdoors?", "Are we indoors or outdoors?",
           "Is the picture taken outdoors or indoors?", HELD_OUT, "Would you say indoors or outdoors?"]
IS_INSIDE = ["Is this indoors?", "Is it indoors?", "Is this inside?", "Are we inside a building?", "Is the camera indoors?",
             "Is this inside a building?", "Was this taken indoors?", "Is the scene indoors?", "Is this an indoor scene?",
             "Is the picture taken inside?", HELD_OUT, "Are we under a roof?"]
IS_OUTSIDE = ["Is this outdoors?", "Is it outdoors?", "Is this outside?", "Are we outside?", "Is the camera outdoors?",
              "Is this in the open air?", "Was this taken outdoors?", "Is the scene outdoors?", "Is this an outdoor scene?",
              "Is the picture taken outside?", HELD_OUT, "Are we out in the open?"]
TIME = ["What time of day is it?", "Is it day, dusk or night?", "Which time of day is this?", "What time of day does the picture show?",
        "Day, dusk or night?", "What is the time of day?", "When was this taken?", "Is this at day, at dusk or at night?",
        "What part of the day is it?", "At what time of day was this taken?", HELD_OUT, "Which part of the day do you see?"]
DAY_OR_NIGHT = ["Is it day or night?", "Is this by day or by night?", "Day or night?", "Is it night or day?",
                "Was this taken by day or by night?", "Is this a day or a night scene?", "Do you see day or night?",
                "Is it day or is it night?", "Does the picture show day or night?", "Night or day?", HELD_OUT,
                "Would you say it is day or night?"]
IS_NIGHT = ["Is it night?", "Is it night time?", "Is it at night?", "Is this at night?", "Is this a night scene?", "Was this taken at night?",
            "Does the picture show a night?", "Is it nighttime?", "Do we see the night?", "Is it night here?", HELD_OUT,
            "Has night fallen?"]
IS_DAY = ["Is it day?", "Is it daytime?", "Is it by day?", "Is this in daylight?", "Is this a day scene?", "Was this taken by day?",
          "Does the picture show daylight?", "Is there daylight?", "Do we see daylight?", "Is it day here?", HELD_OUT,
          "Is it in the daytime?"]
FOG = ["Is it foggy?", "Is there fog?", "Do you see fog?", "Is the weather foggy?", "Is there any fog?", "Is this in fog?",
       "Can you see fog?", "Is it a foggy scene?", "Does the picture show fog?", "Fog?", HELD_OUT, "Is the air foggy?"]

TEXT = ["What does the sign say?", "What is written on the sign?", "What is the text on the sign?", "Read the sign.",
        "What does the sign read?", "What is the writing on the sign?", "What word is on the sign?", "Which text is on the sign?",
        "What is on the sign?", "What do you read on the sign?", "What does it say on the sign?", "Tell me the text of the sign.",
        HELD_OUT, "Tell me what the sign says.", "What can be read there?"]
IS_TEXT = ['Does the sign say "{t}"?', 'Does it say "{t}"?', 'Is "{t}" written on the sign?', 'Is there a sign that says "{t}"?',
           'Does the text say "{t}"?', 'Is the text "{t}"?', 'Do you read "{t}"?', 'Is there a sign with "{t}" on it?',
           'Is the word on the sign "{t}"?', 'Does the sign read "{t}"?', HELD_OUT, 'Can "{t}" be read on the sign?']
MORE = ["Are there more {p} than {o}?", "Do you see more {p} than {o}?", "Are there more {p} than {o} in the picture?",
        "Is the number of {p} larger than that of {o}?", "More {p} than {o}?", "Can you see more {p} than {o}?",
        "Does the picture show more {p} than {o}?", "Are more {p} than {o} visible?", "Is it true that there are more {p} than {o}?",
        "Are the {p} more than the {o}?", HELD_OUT, "Do the {p} outnumber the {o}?"]
MORE_OR = ["Are there more {p} or more {o}?", "Which are more, the {p} or the {o}?", "What are there more of, {p} or {o}?",
           "Do you see more {p} or more {o}?", "What is more frequent, {p} or {o}?", "More {p} or more {o}?",
           "Which are there more of: {p} or {o}?", "Are more {p} or more {o} in the picture?", "Of what are there more, {p} or {o}?",
           "Are there more {p} or {o}?", HELD_OUT, "Which do you see more of, {p} or {o}?"]
BIGGER = ["Which looks bigger, {x} or {y}?", "Which is bigger in the picture, {x} or {y}?", "What is larger in the picture, {x} or {y}?",
          "Which takes more of the picture, {x} or {y}?", "Which appears larger, {x} or {y}?", "What looks larger, {x} or {y}?",
          "Which is the bigger one in the image, {x} or {y}?", "What covers more of the image, {x} or {y}?",
          "Does {x} or {y} look bigger?", "Which seems bigger, {x} or {y}?", HELD_OUT, "Which fills more of the frame, {x} or {y}?"]
NEARER = ["Which is nearer, {x} or {y}?", "Which is closer, {x} or {y}?", "Which is closer to the camera, {x} or {y}?",
          "What is nearer to the camera, {x} or {y}?", "Is {x} or {y} nearer?", "What is closer, {x} or {y}?",
          "Which one is nearest, {x} or {y}?", "Which is nearer to us, {x} or {y}?", "Is {x} or {y} closer to the camera?",
          "Which is less far away, {x} or {y}?", HELD_OUT, "Which one stands closer, {x} or {y}?"]

DESCRIBE = ["Describe the picture.", "Describe the image.", "Describe what you see.", "Describe the scene.", "Caption this.",
            "Give a description of the picture.", "What does the picture show?", "Write a caption.", "Tell me what you see.",
            "What is going on?", "Describe this frame.", "What does the camera see?", HELD_OUT, "Put the picture into words.",
            "Sum up the picture."]
LIST = ["What is in the picture?", "What do you see?", "What is shown?", "What things are in the image?", "List the things in the picture.",
        "What is there?", "What is in the image?", "Which things do you see?", "What can you see?", "What things are there?",
        "Name the things in the picture.", HELD_OUT, "Which objects are to be seen?", "List what you see."]


def all_wordings():
    """{name: (training wordings, held-out wordings)} of every list."""
    lists = {}
    for name, wordings in globals().items():
        if isinstance(wordings, list) and name.isupper():
            cut = wordings.index(HELD_OUT)
            lists[name] = (wordings[:cut], wordings[cut + 1:])
    return lists
