"""The words of the English–Chinese grammar, as tables: English forms, Chinese, and what goes with what.

A noun has a kind, which says what can be done with it, and a measure word 量词, which Chinese puts between a number
and the noun: 两 本 书, "two books". A verb says which kinds it takes as its object.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    singular: str
    plural: str
    chinese: str
    measure: str
    kind: str


@dataclass(frozen=True)
class Verb:
    base: str
    third: str  # "he reads"
    past: str
    participle: str  # "is reading"
    chinese: str
    objects: tuple[str, ...]  # kinds of noun; empty: no object
    stative: bool = False  # a state, not an action: no past and no progressive here, and never 了


@dataclass(frozen=True)
class Adjective:
    english: str
    chinese: str  # as in 房子 很 大
    before_noun: str  # as in 大 房子, 漂亮 的 房子
    comparative: str
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Adverbial:
    english: str
    chinese: str


def _nouns(kind: str, table: str) -> list[Noun]:
    rows = (line.split() for line in table.strip().splitlines())
    return [Noun(singular, plural, chinese, measure, kind) for singular, plural, chinese, measure in rows]


NOUNS = [
    *_nouns(
        "person",
        """
        teacher teachers 老师 个
        student students 学生 个
        doctor doctors 医生 个
        boy boys 男孩 个
        girl girls 女孩 个
        child children 孩子 个
        man men 男人 个
        woman women 女人 个
        friend friends 朋友 个
        worker workers 工人 个
        farmer farmers 农民 个
        driver drivers 司机 个
        cook cooks 厨师 个
        writer writers 作家 个
        singer singers 歌手 个
        nurse nurses 护士 个
        policeman policemen 警察 个
        lawyer lawyers 律师 个
        scientist scientists 科学家 个
        soldier soldiers 士兵 个
        neighbour neighbours 邻居 个
        guest guests 客人 个
        """,
    ),
    *_nouns(
        "animal",
        """
        dog dogs 狗 只
        cat cats 猫 只
        bird birds 鸟 只
        rabbit rabbits 兔子 只
        monkey monkeys 猴子 只
        tiger tigers 老虎 只
        sheep sheep 羊 只
        duck ducks 鸭子 只
        horse horses 马 匹
        cow cows 牛 头
        pig pigs 猪 头
        elephant elephants 大象 头
        fish fish 鱼 条
        snake snakes 蛇 条
        """,
    ),
    *_nouns(
        "food",
        """
        apple apples 苹果 个
        orange oranges 橙子 个
        peach peaches 桃子 个
        egg eggs 鸡蛋 个
        potato potatoes 土豆 个
        tomato tomatoes 西红柿 个
        cake cakes 蛋糕 块
        banana bananas 香蕉 根
        carrot carrots 胡萝卜 根
        dumpling dumplings 饺子 个
        watermelon watermelons 西瓜 个
        sandwich sandwiches 三明治 个
        """,
    ),
    *_nouns(
        "drink",
        """
        tea tea 茶 杯
        coffee coffee 咖啡 杯
        milk milk 牛奶 杯
        water water 水 杯
        juice juice 果汁 杯
        beer beer 啤酒 杯
        """,
    ),
    *_nouns(
        "text",
        """
        book books 书 本
        novel novels 小说 本
        dictionary dictionaries 词典 本
        magazine magazines 杂志 本
        diary diaries 日记 本
        letter letters 信 封
        newspaper newspapers 报纸 份
        story stories 故事 个
        poem poems 诗 首
        article articles 文章 篇
        """,
    ),
    *_nouns(
        "thing",
        """
        ball balls 球 个
        cup cups 杯子 个
        bag bags 包 个
        box boxes 盒子 个
        watch watches 手表 块
        picture pictures 画 张
        map maps 地图 张
        photo photos 照片 张
        knife knives 刀 把
        umbrella umbrellas 雨伞 把
        key keys 钥匙 把
        pen pens 笔 支
        gift gifts 礼物 件
        flower flowers 花 朵
        computer computers 电脑 台
        camera cameras 相机 台
        phone phones 手机 部
        """,
    ),
    *_nouns(
        "garment",
        """
        hat hats 帽子 顶
        shirt shirts 衬衫 件
        coat coats 大衣 件
        sweater sweaters 毛衣 件
        skirt skirts 裙子 条
        scarf scarves 围巾 条
        """,
    ),
    *_nouns(
        "furniture",
        """
        table tables 桌子 张
        bed beds 床 张
        chair chairs 椅子 把
        lamp lamps 灯 盏
        sofa sofas 沙发 张
        """,
    ),
    *_nouns(
        "vehicle",
        """
        car cars 车 辆
        bus buses 公共汽车 辆
        bicycle bicycles 自行车 辆
        taxi taxis 出租车 辆
        truck trucks 卡车 辆
        train trains 火车 列
        plane planes 飞机 架
        boat boats 船 艘
        """,
    ),
    *_nouns(
        "building",
        """
        house houses 房子 座
        bridge bridges 桥 座
        school schools 学校 所
        hospital hospitals 医院 所
        hotel hotels 酒店 家
        restaurant restaurants 餐馆 家
        shop shops 商店 家
        factory factories 工厂 家
        """,
    ),
]

# Uncountable here: no "a tea", no "two teas".
MASS = frozenset({"drink"})

_GOODS = ("food", "drink", "text", "thing", "garment", "furniture", "vehicle")
_ALL = ("person", "animal", *_GOODS, "building")

# What an animal can be said to do, and what it can like or hate; what takes no time,
# and the people whom one can call one's own.
ANIMAL_VERBS = frozenset(
    ["eat", "drink", "see", "find", "lose", "chase", "meet", "sleep", "swim", "run", "rest", "cry"]
)
ANIMAL_OBJECTS = frozenset({"person", "animal", "food", "drink", "thing"})
PUNCTUAL_VERBS = frozenset(["see", "find", "lose", "meet"])  # over at once: nobody is finding a key
RELATIONS = frozenset(["teacher", "student", "doctor", "child", "friend", "neighbour", "guest", "driver", "lawyer"])


def _verbs(table: str) -> list[Verb]:
    rows = (line.split() for line in table.strip().splitlines())
    groups = {"all": _ALL, "goods": _GOODS, "-": ()}
    return [
        Verb(base, third, past, participle, chinese, groups[kinds] if kinds in groups else tuple(kinds.split("+")))
        for base, third, past, participle, chinese, kinds in rows
    ]


ACTIONS = _verbs(
    """
    eat eats ate eating 吃 food
    drink drinks drank drinking 喝 drink
    read reads read reading 看 text
    write writes wrote writing 写 text
    buy buys bought buying 买 goods
    sell sells sold selling 卖 goods
    see sees saw seeing 看见 all
    find finds found finding 找到 person+animal+text+thing+garment
    lose loses lost losing 丢 animal+text+thing+garment
    draw draws drew drawing 画 person+animal+food+thing+furniture+vehicle+building
    wash washes washed washing 洗 food+garment+vehicle
    repair repairs repaired repairing 修 furniture+vehicle+building
    drive drives drove driving 开 vehicle
    carry carries carried carrying 拿 text+thing+garment
    open opens opened opening 打开 text
    use uses used using 用 thing+furniture+vehicle
    borrow borrows borrowed borrowing 借 text+thing+garment+vehicle
    steal steals stole stealing 偷 animal+text+thing+garment+vehicle
    help helps helped helping 帮助 person+animal
    visit visits visited visiting 参观 building
    meet meets met meeting 遇到 person+animal
    invite invites invited inviting 邀请 person
    chase chases chased chasing 追 person+animal
    feed feeds fed feeding 喂 animal
    build builds built building 建 building
    cook cooks cooked cooking 做 food
    """
)
STATES = [
    Verb(base, third, "", "", chinese, objects, stative=True)
    for base, third, chinese, objects in (
        ("like", "likes", "喜欢", _ALL),
        ("love", "loves", "爱", ("person", "animal")),
        ("know", "knows", "认识", ("person", "animal")),
        ("need", "needs", "需要", _ALL),
        ("hate", "hates", "讨厌", _ALL),
        ("want", "wants", "想要", _GOODS),
    )
]
INTRANSITIVE = _verbs(
    """
    sleep sleeps slept sleeping 睡觉 -
    work works worked working 工作 -
    swim swims swam swimming 游泳 -
    dance dances danced dancing 跳舞 -
    sing sings sang singing 唱歌 -
    rest rests rested resting 休息 -
    run runs ran running 跑步 -
    cry cries cried crying 哭 -
    laugh laughs laughed laughing 笑 -
    """
)

_COLOURED = ("thing", "garment", "furniture", "vehicle")
_OBJECTS = ("text", *_COLOURED)
ADJECTIVES = [
    Adjective("big", "大", "大", "bigger", ("animal", "food", *_COLOURED, "building")),
    Adjective("small", "小", "小", "smaller", ("animal", "food", *_COLOURED, "building")),
    Adjective("new", "新", "新", "newer", (*_OBJECTS, "building")),
    Adjective("expensive", "贵", "贵 的", "more expensive", ("food", "drink", *_OBJECTS)),
    Adjective("cheap", "便宜", "便宜 的", "cheaper", ("food", "drink", *_OBJECTS)),
    Adjective("beautiful", "漂亮", "漂亮 的", "more beautiful", ("person", "animal", "garment", "building")),
    Adjective("clever", "聪明", "聪明 的", "cleverer", ("person", "animal")),
    Adjective("young", "年轻", "年轻 的", "younger", ("person",)),
    Adjective("tall", "高", "高 的", "taller", ("person", "building")),
    Adjective("happy", "高兴", "高兴 的", "happier", ("person",)),
    Adjective("busy", "忙", "忙 的", "busier", ("person",)),
    Adjective("fast", "快", "快 的", "faster", ("animal", "vehicle")),
    Adjective("good", "好", "好", "better", ("person", "text", "food", "drink")),
    Adjective("interesting", "有趣", "有趣 的", "more interesting", ("text", "person")),
    Adjective("long", "长", "长", "longer", ("text",)),
    Adjective("hot", "烫", "烫 的", "hotter", ("drink",)),
    Adjective("clean", "干净", "干净 的", "cleaner", (*_COLOURED, "building")),
]
# Colours stand before a noun and are not compared.
COLOURS = [
    Adjective(english, chinese, f"{chinese} 的", "", _COLOURED)
    for english, chinese in (
        ("red", "红色"),
        ("blue", "蓝色"),
        ("green", "绿色"),
        ("black", "黑色"),
        ("white", "白色"),
        ("yellow", "黄色"),
    )
]


def _adverbials(*pairs: tuple[str, str]) -> list[Adverbial]:
    return [Adverbial(*pair) for pair in pairs]


PAST_TIMES = _adverbials(
    ("yesterday", "昨天"),
    ("last week", "上周"),
    ("last month", "上个月"),
    ("last year", "去年"),
    ("last night", "昨晚"),
    ("this morning", "今天 早上"),
    ("on Monday", "星期一"),
)
FUTURE_TIMES = _adverbials(
    ("tomorrow", "明天"),
    ("next week", "下周"),
    ("next month", "下个月"),
    ("next year", "明年"),
    ("tonight", "今晚"),
)
HABITUAL_TIMES = _adverbials(("every day", "每天"), ("every morning", "每天 早上"), ("every week", "每周"))
FREQUENCIES = _adverbials(("often", "常常"), ("always", "总是"), ("sometimes", "有时"))

PLACES = _adverbials(
    ("in the park", "公园 里"),
    ("in the garden", "花园 里"),
    ("in the forest", "森林 里"),
    ("in the city", "城市 里"),
    ("in the village", "村子 里"),
    ("in the kitchen", "厨房 里"),
    ("in the classroom", "教室 里"),
    ("in the office", "办公室 里"),
    ("in the library", "图书馆 里"),
    ("in the museum", "博物馆 里"),
    ("in the street", "街 上"),
    ("on the mountain", "山 上"),
    ("on the island", "岛 上"),
    ("on the beach", "沙滩 上"),
    ("by the river", "河 边"),
    ("by the sea", "海 边"),
    ("at home", "家 里"),
    ("at the station", "车站"),
    ("at the airport", "机场"),
    ("at the market", "市场"),
)
# Where a thing can be found: "on the table" is 桌子 上.
SPOTS = _adverbials(
    ("on the table", "桌子 上"),
    ("under the table", "桌子 下面"),
    ("on the bed", "床 上"),
    ("under the bed", "床 下面"),
    ("on the chair", "椅子 上"),
    ("in the box", "盒子 里"),
    ("in the bag", "包 里"),
    ("in the car", "车 里"),
    ("behind the house", "房子 后面"),
    ("in front of the school", "学校 前面"),
    ("under the tree", "树 下面"),
    ("in the room", "房间 里"),
)

# (subject, object, possessive, Chinese); the verb after he and she takes an s.
PRONOUNS = [
    ("I", "me", "my", "我"),
    ("you", "you", "your", "你"),
    ("he", "him", "his", "他"),
    ("she", "her", "her", "她"),
    ("we", "us", "our", "我们"),
    ("they", "them", "their", "他们"),
]
# With a measure word 二 becomes 两.
NUMBERS = [("two", "两"), ("three", "三"), ("four", "四"), ("five", "五"), ("six", "六"), ("ten", "十")]
