"""Word lists for comparing reports: synonyms, opposites, words for what happens, frequent words."""

from __future__ import annotations

import re

from stories.text.sentences import word_set


def _listed(words: str) -> list[str]:
    return words.split()


OPINION = re.compile(  # the label of a text about an event, which is no report of it
    r"(?i)\A\W*(?:opinion|comment(?:ary)?|editorial|column|analysis|op-ed|kommentar|leitartikel|meinung"
    r"|tribune|éditorial|opinión|columna|opinião|editoriale|commento)\s?[:|\u2013\u2014-]"
)
EMPTY = word_set("""
    a an the and or but of in on at to for from by with as is are was were be been being has
    have had it its this that these those he she his her him they them their we our us you your i
    who whom whose which what when where why how after before into onto about out up off
    will would can could may might must shall should do does did done new says say said saying ever
    just also than then there here so if while during since until through between under again more
    most much many some any all both each other another such only own same very too still even now
    yet over per via amid among against around across along within according because however
    tell tells first
    der die das den dem des ein eine einen einem einer und oder aber in im an am auf aus bei mit nach
    von vom zu zum zur für ist sind war wird werden hat haben sich nicht auch als wie
    le la les un une des du de et ou mais dans sur pour par avec est sont a ont qui que ce cette au aux
    el los las una unos y o en con por para es son del al se su
    il lo gli di da e che non per è sono
    o os as um uma do da dos das e em no na nos nas que
    dass daß nur noch bis vor über unter gegen seine seiner seinen ihre ihrer ihren er sie es ihm ihn
    wenn mehr durch weil aber schon heute gestern gibt kann soll sollen will wollen keine kein diese dieser
    dieses wurde wurden hatte worden rund etwa zwischen ohne beim seit ab laut während jetzt wieder
    pas ne se sa ses leur leurs il elle ils elles été être fait selon après avant entre sans sous vers
    chez aussi dont où deux cet nous vous lundi mardi mercredi jeudi vendredi samedi dimanche d'un d'une
    más pero sus ha han fue ser este esta estos sobre entre hasta desde según tras también ya le les
    muy cuando donde quien lunes martes miércoles jueves viernes sábado domingo había cada
    mais foi são tem têm pelo pela aos à às ao seu sua seus suas ser está até sem após segundo também já
    não quando onde esta este terça quarta quinta sexta feira segunda porque nesta neste
""")

# By which the language of a report is known.
FUNCTION_WORDS = {
    "en": word_set("the of and to is for with from was were has have after by as at its"),
    "de": word_set(
        "der die das und ist nicht ein eine mit auf von im den dem wird nach am sind hat"
    ),
    "fr": word_set("le les des et est dans une du pour avec sur qui aux après au ont été près"),
    "es": word_set("el los las y una por con del que para se más al su"),
    "pt": word_set("o os uma do da dos das em no na nos com para não ao"),
    "it": word_set("il lo gli di e che una per è sono nel della dei con"),
}
NEGATIONS = word_set("not no never without nobody none neither nor cannot")

TIME_WORDS = word_set("""
    monday tuesday wednesday thursday friday saturday sunday january february march april may june
    july august september october november december
""")

WEEKDAYS = word_set("monday tuesday wednesday thursday friday saturday sunday")

AMBIGUOUS = word_set("may march")

CARDINALS = {
    word: str(value)
    for value, word in enumerate(
        _listed("""
            two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
            sixteen seventeen eighteen nineteen twenty
        """),
        2,
    )
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80"}
CARDINALS["ninety"] = "90"
# Those of other languages that are no English words.
CARDINALS |= {
    word: str(value)
    for value, words in enumerate(
        (
            "zwei dos deux dois duas",
            "drei tres trois três",
            "vier cuatro quatre quatro quattro",
            "fünf cinco cinq cinque",
            "sechs seis",
            "sieben siete sete sette",
            "acht ocho huit oito otto",
            "neun nueve neuf nove",
            "zehn diez dix dez dieci",
        ),
        2,
    )
    for word in words.split()
}
ORDINALS = {
    word: str(value)
    for value, word in enumerate(
        _listed("first second third fourth fifth sixth seventh eighth ninth tenth"), 1
    )
}
# What is counted through: day three of a trial is another day than day two.
PERIODS = word_set("""
    quarter half round leg day stage season part game match test week set episode chapter volume issue
    version beta heat race lap final
""")
# What a post begins with on Reddit; no names.
TAGS = word_set("aita til eli lpt psa ama tifu wibta oc nsfw tldr iama cmv dae hn")
# The event is still to come.
# Verbs of two words, and the one word that they mean.
PHRASES = dict(
    pair.strip().split(": ")
    for pair in " ".join(
        _listed("""
        call off: cancel; calls off: cancels; called off: cancelled; step down: resign; steps down:
        resigns; stepped down: resigned; shut down: close; shuts down: closes; turn down: reject;
        turns down: rejects; turned down: rejected; vote down: reject; votes down: rejects; voted
        down: rejected; strike down: annul; strikes down: annuls; struck down: annulled; put off:
        delay; puts off: delays; on hold: delayed; take over: buy; takes over: buys; walk out:
        strike; walks out: strikes; walked out: struck work; is out: released; are out: released;
        burns down: burns; burned down: burned; steps aside: resigns; half a dozen: six; power cut:
        blackout; power cuts: blackouts; power failure: blackout; power outage: blackout; walk away
        from: reject; walks away from: rejects; touch down: land; touches down: lands; touched
        down: landed; knock out: beat; knocks out: beats; knocked out: beaten; cleared of:
        acquitted of; prize goes to: prize won by; award goes to: award won by;
        walked away from: rejected; pull out of: withdraw
        from; pulls out of: withdraws from; pulled out of: withdrew from
        """)
    ).split(";")
)
PHRASE = re.compile(
    r"\b(?:" + "|".join(sorted(PHRASES, key=len, reverse=True)) + r")\b", re.IGNORECASE
)
# "Driverless" for "without drivers".
LESS = re.compile(
    r"\b(?!regard|never|none|count|reck|ruth|end|rest|home|wire|stain|seam|help|care|sense|worth)"
    r"([a-z]{4,})less\b",
    re.IGNORECASE,
)
# What a headline without "not" may say in its place.
DENIALS = word_set("ban end cancel reject close stop deny delay")

# "No" that denies nothing.
_COMPARED = (
    r"\b(?:no|not) (?:\w+er|more|less) than\b|\bnot only\b"
    r"|\bno (?:word|news|details?|reports?) (?:on|of)\b|\bwithout (?:power|electricity|water)\b"
    r"|\bno (?:damage|injuries|casualties|deaths|tsunami|one hurt)\b"
)
COMPARED = re.compile(_COMPARED, re.IGNORECASE)
REFUSALS = re.compile(r"\b(?:refuse[sd]?|decline[sd]?|fail(?:s|ed)?) to\b", re.IGNORECASE)
PROSPECTS = re.compile(
    r"\b(?:expect(?:ed|s)?|likely|forecast|set|poised|could|might) to\b"
    r"|(?<!register )(?<!right )\bto (?:vote|decide|rule|face|meet|play|host)\b"
    r"|\bplans? to\b|\bconsiders?\b|\bcould\b|\bvotes on\b",
    re.IGNORECASE,
)

MAGNITUDES = {
    **dict.fromkeys(("millionen", "mio", "millones", "milhões", "milioni"), 1e6),
    **dict.fromkeys(("milliarden", "mrd", "milliards", "miliardi", "bilhões"), 1e9),
    "hundred": 100,
    "thousand": 1_000,
    "k": 1_000,
    "million": 1e6,
    "millions": 1e6,
    "m": 1e6,
    "mn": 1e6,
    "billion": 1e9,
    "bn": 1e9,
    "b": 1e9,
    "trillion": 1e12,
    "tn": 1e12,
}

APPROXIMATE = word_set("""
    about around some nearly almost roughly approximately least than over up under close
""")

# Groups of words of one meaning in headlines; the first one is their common form.
_SAME = """
    die died dies dead death deaths dying fatal fatally killed kills kill killing killings deadly ; hurt
    injured injures injure injury injuries wounded wounds wound wounding casualties ; fire blaze fires
    blazes burns burn burned burnt burning inferno ablaze wildfire wildfires ; quake earthquake
    earthquakes quakes tremor tremors ; buy buys bought buying acquire acquires acquired acquisition
    purchase purchases purchased takeover ; sell sells sold selling sale fetch fetches fetched ; approve
    approves approved approval passes passed pass backs backed adopt adopts adopted endorses ratifies ;
    reject rejects rejected rejection refuse refuses refused veto vetoes vetoed ; rise rises rose risen
    rising increase increases increased climb climbs climbed jump jumps jumped grow grows grew grown
    growth soar soars soared surge surges surged gain gains gained higher raise raises raised raising
    hike hikes hiked lift lifts lifted ; fall falls fell fallen falling drop drops dropped decline
    declines declined plunge plunges plunged sink sinks sank slump slumps slumped decrease decreases
    decreased slid slide slides lower ; cut cuts cutting reduce reduces reduced axe axes axed slash
    slashes slashed lowers lowered trim trims trimmed ; begin begins began begun beginning start starts
    started starting commence commences kick ; end ends ended ending finish finishes finished over
    conclude concludes concluded ; close closes closed closing closure shut shuts shutting shutdown ;
    open opens opened opening ; reopen reopens reopened reopening ; resume resumes resumed resuming
    restart restarts restarted ; suspend suspends suspended suspension halt halts halted pause pauses
    paused ; cancel cancels cancelled canceled cancellation scrap scraps scrapped ; delay delays delayed
    postpone postpones postponed postponement ; win wins won winning beat beats beaten defeat defeats
    defeated victory triumph edge edges edged overcome thrash stun stuns stunned ; lose loses lost loss
    losing ; find finds found finding detect detects detected discover discovers discovered discovery
    unearth unearthed ; search searches searching hunt ; missing vanished disappeared disappears
    disappearance ; arrest arrests arrested detain detains detained detention custody ; charge charges
    charged indict indicts indicted indictment ; convict convicts convicted guilty conviction ; acquit
    acquits acquitted acquittal ; sentence sentences sentenced jailed jail imprisoned ; resign resigns
    resigned resignation quit quits ; appoint appoints appointed appointment names named hire hires
    hired ; sack sacks sacked fires dismiss dismisses dismissed ousted oust ; sue sues sued lawsuit
    lawsuits suing ; appeal appeals appealed ; rescue rescues rescued rescuing saved ; evacuate
    evacuates evacuated evacuation evacuations evacuees ; collapse collapses collapsed ; crash crashes
    crashed collision collide collides collided ; derail derails derailed derailment ; explode explosion
    explodes exploded blast blasts explosions ; flood floods flooded flooding floodwater floodwaters ;
    strike strikes striking walkout ; storm storms ; warn warns warned warning warnings ; alert alerts ;
    recall recalls recalled ; launch launches launched unveil unveils unveiled release releases released
    debut debuts ; ban bans banned prohibit prohibits prohibited outlaw outlaws ; sign signs signed
    signing ; agree agrees agreed agreement deal deals pact accord ; plan plans planned planning propose
    proposes proposed proposal ; expect expects expected expectation forecast forecasts ; vote votes
    voted voting ballot ; announce announces announced announcement ; deny denies denied denial ; elect
    elects elected election elections re-elected reelected ; admit admits admitted confess confesses
    confessed ; return returns returned returning ; merge merges merged merger ; police officers officer
    cops ; firm firms company companies ; pm premier ; president presidential ; child children kid kids
    ; woman women ; man men ; school schools ; home homes house houses household households ; power
    electricity ; percent per-cent percentage pct ; doctor doctors physician physicians ; student
    students pupil pupils ; worker workers employee employees staff ; record records ; huge massive
    enormous ; scientist scientists researcher researchers ; study studies ; kilometre kilometres
    kilometer kilometers km ; metre metres meter meters ; centre center centers centres ; harbour harbor
    ; car cars ; lorry lorries truck trucks ; ship ships boat boats vessel vessels ; bribe bribes
    bribery ; parliament lawmaker lawmakers mp mps legislators ; vaccine vaccines vaccination
    vaccinations vaccinated jab jabs ; attacker attackers hacker hackers ; stock stocks ; hospital
    hospitals clinic clinics ; plane planes aircraft airplane jet ; train trains ; judge judges ; profit
    profits earnings ; job jobs ; price prices ; rate rates ; striker forward ; fine fines fined ;
    bankrupt bankruptcy insolvency insolvent ; withdraw withdraws withdrew withdrawn ; overturn
    overturns overturned quash quashes quashed annul annuls annulled ; uphold upholds upheld ; build
    built builds building ; rebuild rebuilt rebuilds ; make made makes making ; take took taken takes ;
    give gave given gives ; see saw seen sees ; go went gone goes ; come came comes coming ; get got
    gets ; leave left leaves leaving ; meet met meets ; pay paid pays ; send sent sends ; spend spent
    spends ; bring brought brings ; catch caught catches ; teach taught ; run ran runs running ; sing
    sang sung sings ; ring rang rung ; drink drank drunk drinks ; drive drove driven drives ; write
    wrote written writes ; ride rode ridden rides ; break broke broken breaks ; speak spoke spoken
    speaks ; steal stole stolen steals stealing theft thefts thieves robbed ; choose chose chosen ;
    freeze froze frozen freezes ; fly flew flown flies ; throw threw thrown ; know knew known knows ;
    lead led leads leading ; feed fed ; eat ate eaten eats ; shoot shot shoots shooting shootings ;
    fight fought fights fighting ; sweep swept sweeps ; sleep slept ; flee fled flees ; tear tore torn ;
    dig dug digs digging ; hang hung ; shake shook shaken shakes ; wake woke ; show showed shown shows ;
    swim swam swum ; stick stuck ; attack attacks attacked attacking assault assaults assaulted ; phone
    phones telephone telephones mobile ; factory factories plant ; law laws ; flight flights ; airline
    airlines
"""
# Words of other languages for what is often reported, by the common form of the English one.
_TRANSLATED = """
    die tote toter toten tot gestorben stirbt starben muertos muerto muere mueren morts mort meurt mortos
    morto morre morreu morti getötet getöteten tödlich tué tués tuée tuées decesos fallecidos
    fallecieron uccisi
    uccise mortas óbitos doden ; hurt verletzte verletzten verletzt heridos herido heridas
    blessés blessé blessée blessées
    lesionados feriti ferite gewonden feridos ferido feriti ; fire feuer brand brände incendio
    incendios incendie incendies incêndio incêndios
    fogo ; quake erdbeben terremoto sismo séisme terramoto ; explode explosionen explosión explosiones
    explosão ; strike streik streiks huelga grève greve sciopero ; elect wahl wahlen elecciones elección
    élection élections eleições eleição ; win gewinnt gewinnen gewann siegt gana ganan gagne vence ; flood
    hochwasser überschwemmung inundaciones inundación inondations inundações ; crash unfall accidente
    accident acidente unglück ; attack angriff angriffe angriffen ataque ataques attaque attaques ; arrest
    festgenommen festnahme detenido detenidos arrêté detido detidos ; resign rücktritt dimite dimisión
    démission démissionne demite demissão ; law gesetz ley loi lei ; factory fabrik werk fábrica usine ;
    president präsident presidente président ; government regierung gobierno gouvernement governo ; police
    polizei policía polícia ; court gericht tribunal ; minister ministro ministre ; court corte ; vote
    abstimmung votación votação ; war krieg guerra guerre ; flight flug flüge vuelo vuelos vol vols voo voos
"""
SAME: dict[str, str] = {}
for _group in f"{_SAME};{_TRANSLATED}".split(";"):
    _first, *_rest = _group.split()
    for _word in (_first, *_rest):
        SAME.setdefault(_word, _first)

# A headline with a word of one side, and another with a word of the other side, are two turns of
# one story. In the common forms above.
OPPOSED: tuple[tuple[frozenset[str], frozenset[str]], ...] = tuple(
    (word_set(one), word_set(other))
    for one, other in (
        ("close block suspend strand", "open reopen resume unblock"),
        ("begin launch suspend", "end resume complet cancel"),
        ("suspend cancel delay stop", "resume return continu"),
        ("rise", "fall cut lose hold"),
        ("cut", "hold"),
        ("win", "lose draw"),
        ("approve accept allow", "reject block oppose ban deny"),
        ("missing search trap miss", "find rescue"),
        ("arrest charge accus suspect trial", "fr acquit convict sentence clear"),
        ("hurt ill", "die recover"),
        ("join appoint", "leav resign part sack retir"),
        ("buy", "sell"),
        ("confirm admit", "deny"),
        ("arrest", "charge"),
        ("issu", "rise cancel"),
        ("strike", "agree"),
        ("sign", "reject"),
        ("uphold", "overturn"),
        ("escap", "catch caught recaptur"),
    )
)

# Words for how something is, and for the opposite, which is a change of status.
STATUSES: tuple[tuple[frozenset[str], frozenset[str]], ...] = tuple(
    (word_set(one), word_set(other))
    for one, other in (
        (
            "close closes closed shut shuts blocked",
            "open opens opened reopen reopens reopened unblocked",
        ),
        (
            "suspend suspends suspended halt halts halted pause pauses paused grounded",
            "resume resumes resumed restart restarts restarted",
        ),
        ("missing disappears disappeared", "find finds found rescued safe"),
        ("trapped stranded held hostage hostages", "free frees freed rescued"),
        ("deny denies denied", "confirm confirms confirmed admit admits admitted"),
        ("arrested detained held jailed", "released freed cleared acquitted"),
        ("reject rejects rejected", "approve approves approved accept accepts accepted"),
        ("ban bans banned", "allow allows allowed"),
        ("begin begins begun start starts started", "end ends ended"),
        ("uphold upholds upheld", "overturn overturns overturned annulled quashed"),
        ("escapes escaped", "recaptured caught captured"),
    )
)
# Within three words before a status: it is not a fact, or no longer one.
DISTANCING = word_set("""
    will would may might could should must can cannot if unless until before when after since
    following despite deny denies denied false claims rumours reportedly allegedly plans expected
    threatens vows
""")
DENIALS_OF_FACTS = word_set("deny denies denied")
# After a status word that has another sense: close to, open letter, open fire.
NO_STATUS_BEFORE = word_set("""
    to call race friend ally ties letter source air question fire up investigation inquiry probe talks
    talk guilty that responsible liable accountable
""")

# Words of a headline that make it a later report than one without them.
# Without these in the earlier report, a headline that has one is a later turn whatever else agrees.
DECISIVE = word_set("""
    reject approve block ban resign charge convict acquit sentence sue appeal withdraw cancel apologise
    overturn uphold
""")
# In a headline alone: what people do about an event, who does it, and how it goes on.
TURN_WORDS = word_set("""
    abandon accuse acquit admit aid alive allow analyst annul apologise appeal appoint approve
    arrest arrive arson ask award begin blame block body boss bury call cancel cause charge
    claim clean clear compensation complain concede condemn confirm contest control convict
    counter court criticise damage decide defend demand deny dismiss doubt drop end escape
    expert explain extend extinguish extradite family fear find fix flee free fund funeral grief
    hail halt hearing heir hide hold hope identify inquest inquiry inspector insurer investigate
    investigation investor joy know lawyer leader lose march market memorial motive mourn
    neighbour offer oppose opposition order overturn owner parent park pledge president probe
    promise prosecutor protest question rebuild recommend recover refuse regulator reject
    relative remand remember repair replace rescue resident resign respond resume retract return
    reveal reverse review rival sabotage sack safe scrap secure sentence settle share shelve
    slip sorry stay steal succeed sue support survivor suspect suspend thank threaten trial
    tribute try union uphold urge verdict veto victim vow walk warn welcome who why widen
    withdraw witness
""")
CRIME_WORDS = word_set(
    "murder die shoot stab attack rob robbery steal theft kidnap fire arson explode"
)
SUSPECT_WORDS = word_set("arrest charge suspect convict sentence accuse")

MARKS = word_set("""
    correction corrected corrects correct retraction retracted clarification false fake hoax
    again second third fourth fifth
""")

# Words for what happens; two headlines with none in common report two turns.
EVENT_WORDS = word_set("""
    die hurt fire quake buy sell approve reject rise fall cut raise begin end close open reopen resume
    suspend cancel delay win lose draw find search missing arrest charge convict acquit sentence resign
    appoint sack sue appeal rescue evacuate collapse crash derail explode flood strike warn recall launch
    ban sign agree plan expect vote deny admit return merge court hearing inquiry investigation funeral
    apologise apologize retire fine bankrupt withdraw overturn uphold block
""")

# Words that many reports share whatever they are about.
FREQUENT = word_set("""
    police government minister ministry president people man woman child city town village country
    state world year week month day night morning evening today tomorrow yesterday time hour minute
    official authority council court judge law rule report news update live video photo interview
    company business market worker job home school student hospital doctor road street car train
    plane water power fire storm rain snow wind weather warn alert die hurt kill crash win lose
    match game team player coach club cup league final season goal point record plan deal agree
    vote election party leader group member public national local north south east west northern
    southern eastern western central region area river lake sea coast island mountain percent
    million billion number rate price cost money pay budget tax open close begin end rise fall cut
    raise find help make take get give go come see use show call ask want need keep set put run move
    leave stay live last next early late long high low big small old young good bad best top great
    major key part half second third two three several hundred thousand expect announce issue
    service system centre centre building house family life name work back down way place thing
    study research scientist university data science health care food energy climate
    mr mrs ms dr spokesman spokesperson spokeswoman statement according press
    post reddit link comment share question answer guide review best things
""")
