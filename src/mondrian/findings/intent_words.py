"""Words by which photographers say what they meant, in English, German, French, Spanish, Italian,
Portuguese, Dutch, Polish, Russian, Chinese, Japanese and Korean.

Each list is one of ``intents``: parts between commas, in lower case and without accents on Latin
letters, ``*`` for any ending; what begins with a bracket is a regular expression.
"""

MEANT = {
    "dark": r"""
        low key, lowkey,
        (\bdark\b(?! (?:blue|chocolate|eye|eyes|green|hair|haired|knight|red|skin|wood))),
        darker, darkly, darkness, dimly, dimmed, underexpos*, under expos*, gloom*, shadowy,
        chiaroscuro, night, nights, nightfall, nighttime, nocturn*, noir, dunkel*, dunkle*,
        duster*, finster*, unterbelicht*, nacht, nachts, nachtaufnahme*, nachtfoto*, nachtbild*,
        nachtlich*, nachtstimmung*, sombre*, assombri*, obscur*, tenebreu*, sous expos*, nuit,
        nuits, oscur*, sombri*, tenebros*, subexpues*, noche, noches, clave baja, penumbra,
        scur*, buio, buia, cupo, cupa, cupi, cupe, sottoespost*, notte, notturn*, chiave bassa,
        escur*, subexpost*, noite, noturn*, chave baixa, donker*, duister*, onderbelicht*,
        nachtelijk*, ciemn*, mroczn*, niedoswietl*, noc, noca, nocn*, niski* klucz*, темн*,
        сумрачн*, мрачн*, недоэкспон*, ночь*, ночн*, ночи, низк* ключ*, 低调, 低調, 暗, 夜, 欠曝,
        曝光不足, ローキー, 闇, 露出アンダー, 어둡*, 어두*, 로우키, 로키, 야경, 야간,
        (밤(?![가-힣]|새)), (밤[에의을])""",
    "bright": r"""
        high key, highkey,
        (\bbright\b(?! (?:blue|colou?rs?|eye|eyes|green|orange|pink|red|smile|yellow))),
        brighter, blown, burnt out, burned out, brightly, brightness, overexpos*, over expos*,
        airy, luminous, washed out, white background, (\b(?<!from )(?<!the )hell\b), helle,
        heller, helles, helligkeit, uberbelicht*, ueberbelicht*, lichtdurchflutet*,
        weiss* hintergrund*, lumineu*, surexpos*, (\bclaire?s?\b(?! obscur| de lune)),
        fond blanc, clave alta, luminos*, sobreexpues*, fondo blanco, brillante*, chiave alta,
        (\bchiar[oaie]\b), sovraespost*, sfondo bianco, chave alta, superexpost*, sobreexpost*,
        sobrexpost*, sobre expost*, sobre expues*, fundo branco, helder*, overbelicht*,
        witte achtergrond, jasn*, wysoki* klucz*, przeswietl*, biale* tlo, bialym tle, светл*,
        высок* ключ*, переэкспон*, пересвет*, бел* фон*, 高调, 高調, 亮调, 亮調, 明亮, 过曝,
        過曝, 过度曝光, 過度曝光, 白底, 白色背景, 白背景, ハイキー, 明るい, 明るく, 明るめ,
        白飛び, 白とび, 白バック, 露出オーバー, 하이키, 밝*, 과다노출, 노출 과다, 흰 배경,
        하얀 배경""",
    "backlit": r"""
        backlit, back lit, backlight*, back light*, contre jour, contrejour, against the light,
        against the sun, into the sun, silhouet*, gegenlicht*, scherenschnitt*, gegen die sonne,
        contraluz, contra luz, silueta*, controluce, siluet*, silhueta*, tegenlicht*,
        pod swiatlo, podswietl*, sylwetk*, контров*, против света, против солнца, силуэт*, 逆光,
        剪影, シルエット, 역광*, 실루엣*""",
    "blurred": r"""
        blur, blurs, (?<!\bun )blurred, blurry, blurring, blurriness, long exposure*,
        slow shutter, panning, panned, icm, camera movement, soft focus, dreamy, out of focus,
        defocus*, unsharp*, light trail*, zoom burst*, unscharf*, unschaerf*, verwisch*,
        verwackel*, mitzieher*, mitgezogen*, langzeitbelicht*, wischeffekt*, wischer,
        weichzeichn*, verschwomm*, bewegungsunscharf*, flou*, pose longue, longue pose,
        longue exposition, file de bouge, (\bbouge\b), effet file, borros*, desenfoc*,
        desenfoqu*, movida, movidas, movido, barrido*, larga exposicion, trepidad*, sfoca*,
        mosso, mossa, mosse, mossi, lunga esposizione, tempi lunghi, sfuma*, desfoc*, desfoque*,
        borrad*, tremid*, longa exposicao, arrastad*, arrasto, onscherp*, wazig*,
        bewegingsonscherp*, lange sluitertijd*, bewogen, meetrek*, rozmy*, rozmaz*, nieostr*,
        poruszon*, dlug* czas*, dlug* naswietl*, dlug* ekspozycj*, размы*, нерезк*, расфокус*,
        смаз*, длинн* выдержк*, длительн* выдержк*, проводк*, мягк* фокус*, 模糊, 虚焦, 虛焦,
        失焦, 柔焦, 长曝光, 長曝光, 慢门, 慢門, 追焦, 拖影, ぼけ, ぼか, ボケ, ボカ, ブラー,
        (ブレ(?!ン|ー|ス|ザ|ッ)), 流し撮り, スローシャッター, 長時間露光, 長秒, ソフトフォーカス,
        アウトフォーカス, 흐릿*, 흐리게, 흐려*, 블러*, 장노출*, 패닝*, 흔들*, 소프트 포커스,
        초점이 나간, 번지*""",
    "tilted": r"""
        (\btilt\w*(?! ?shift)), dutch angle*, dutch tilt*, canted, slanted, slanting, crooked,
        askew, leaning horizon, oblique, off level, schrag*, schraeg*, schief*, gekippt*,
        verkantet*, geneigt*, penche*, incline*, debulle*, plan casse, angle hollandais,
        de travers, inclinad*, inclinacion*, plano holandes, angulo holandes, torcid*, ladead*,
        inclinat*, inclinazion*, obliqu*, storto, storta, sghemb*, angolo olandese, inclinacao,
        enviesad*, scheef, scheve, gekantel*, schuin*, przechyl*, pochyl*, krzyw*, przekrzyw*,
        ukosn*, skosn*, kat* holendersk*, наклон*, накрен*, перекош*, перекос*, завал*, криво*,
        голландск* угол*, голландск* угл*, 倾斜, 傾斜, 斜着, 斜构图, 斜構圖, 歪, 荷兰角, 荷蘭角,
        荷兰式, 傾, 斜め, ダッチアングル, 기울*, 비스듬*, 삐딱*, 더치 앵글*, 더치앵글*, 사선*""",
    "grainy": r"""
        grainy, graininess, film grain, grain effect, noisy, noise, gritty, kornig*, koernig*,
        filmkorn*, (\bkorn\b), grobkorn*, rauschen, verrauscht*, grain argentique, granuleu*,
        bruit, bruite*, granulad*, grano, ruido*, sgranat*, granulos*, grana, rumore, granulacao,
        korrel*, filmkorrel*, beeldruis, ruis, ziarn*, zaszumion*, szum*, зерн*, шум*, 颗粒,
        顆粒, 噪点, 噪點, 粒子, 粒状, ノイズ, 그레인*, 입자*, 노이즈*""",
    "low in contrast": r"""
        fog, foggy, mist, misty, mists, haze, hazy, low contrast, pastel*, faded, flat light*,
        flat tone*, nebel*, neblig*, dunst*, diesig*, kontrastarm*, wenig kontrast, pastell*,
        brume*, brouillard*, faible contraste, peu contraste, peu de contraste, delave*, niebla*,
        neblin*, bruma*, bajo contraste, poco contraste, poco contrastad*, nebbi*, foschi*,
        basso contrasto, poco contrasto, nevoa*, nevoeir*, baixo contraste, pouco contraste,
        mistig*, nevel*, heiig*, laag contrast, weinig contrast, mgla, mgle, mgly, mglist*,
        nisk* kontrast*, туман*, дымк*, низк* контраст*, пастел*, 雾, 霧, 低对比, 低對比, 低反差,
        もや, 靄, 霞, 低コントラスト, 淡い, 안개*, 저대비, 낮은 대비, 파스텔*""",
    "tinted": r"""
        tint, tinted, tinting, toned, color cast, colour cast, warm tone*, cool tone*,
        cold tone*, warm light, cold light, warm colo*, cool colo*, golden hour, golden light,
        blue hour, sepia*, cross process*, split ton*, cyanotyp*, candlelight, candlelit,
        stage light*, gels, farbstich*, getont*, warme farb*, kalte farb*, kuhle farb*,
        warmes licht, kaltes licht, goldene* stunde, blaue* stunde, teinte*, virage*,
        heure bleue, heure doree, dominante*, tons chauds, tons froids, lumiere chaude,
        lumiere froide, tonos calidos, tonos frios, hora dorada, hora azul, luz calida, luz fria,
        seppia, virato, viraggio, toni caldi, toni freddi, ora dorata, ora d'oro, ora blu,
        luce calda, luce fredda, tons quentes, tons frios, hora dourada, luz quente, kleurzweem*,
        gouden uur, blauwe uur, warme tint*, koele tint*, warm licht, koel licht, zlot* godzin*,
        niebiesk* godzin*, ciepl* ton*, zimn* ton*, ciepl* swiat*, zafarb*, тониров*,
        золот* час*, син* час*, тепл* тон*, холодн* тон*, тепл* свет*, холодн* свет*, сепи*,
        暖色, 冷色, 暖调, 冷调, 暖調, 冷調, 偏色, 黄金时刻, 蓝调时刻, セピア, 寒色, 色かぶり,
        色被り, ゴールデンアワー, ブルーアワー, マジックアワー, 세피아*, 따뜻한 색*, 차가운 색*,
        골든아워*, 골든 아워*, 블루아워*, 블루 아워*""",
    "strong in colour": r"""
        vivid*, saturated, oversaturated, over saturated, neon*, pop art, psychedelic, garish,
        knallig*, gesattigt*, ubersattigt*, grelle*, sature*, couleurs vives, criard*, saturad*,
        sobresaturad*, colores vivos, satura, saturo, saturi, sature, colori vivaci, cores vivas,
        verzadigd*, felle kleuren, nasycon*, jaskraw*, насыщенн*, неон*, ярк* цвет*, 饱和, 飽和,
        霓虹, 鮮やか, ビビッド, ネオン, 彩度, 채도*, 네온*, 강렬한 색*""",
}
"""What may have been meant, as an adjective, by the words for it."""

PURPOSE = r"""
    on purpose, purposely, purposeful*, deliberate*, intentional*, intended, intention, meant,
    by design, wanted, i want, we want, i chose, chosen, choice, consciously, for effect,
    mit absicht, absicht, absichtlich*, gewollt*, bewusst*, beabsichtigt*, gewunscht*, gezielt*,
    expres, voulu*, volontaire*, intentionnel*, delibere*, a dessein, choix, je voulais,
    a proposito, adrede, intencional*, intencionad*, deliberad*, a posta, queria, quise, apposta,
    di proposito, volut*, intenzional*, deliberat*, volevo, de proposito, proposital*,
    propositad*, opzettelijk*, met opzet, bedoel*, gewild*, celow*, umyslni*, swiadom*,
    zamierzon*, specjalnie, naumyslni*, chcial*, намеренн*, специально, нарочно, умышлен*,
    сознательн*, осознанн*, 想要, преднамерен*, задуман*, хотел*, 故意, 有意, 刻意, 特意, 意图,
    意圖, わざと, 意図, 狙, あえて, 敢えて, 일부러, 의도*, 고의*"""
"""Words for what was done on purpose."""

DENIAL = r"""
    (\bnot\b(?! only| just)), (n't\b), (\b(?:is|was|are|do|does|did|could)nt\b), never, cannot,
    hardly, (\bnicht\b(?! nur)), niemals, kaum, (\bpas\b(?! seulement| que)), jamais,
    (\bno\b(?= (?:esta|es|era|fue|hay|quiero|queria|quise|he|se|me)\b)), nunca, jamas,
    (\bnon\b(?! solo| soltanto)), mai, (\bnao\b(?! so\b| apenas)), (\bniet\b(?! alleen)), nooit,
    (\bnie\b(?! tylko)), nigdy, (\bне\b(?! только)), никогда, (不(?![过過仅僅同断斷朽小])), 没,
    沒, (别(?![致墅])(?<!特别)), 勿, (未(?![来來])), (非(?![常洲])), (是非), (?<!少)ない,
    (?<!だけで)(?<!少)なく, (ません), (なかっ), (せず), (なし), 않, 아니, 아닌, 아님, (\b안 ),
    못, 없"""
"""Words that deny the clause that they are in."""

EXCLUSION = r"""
    no, without, neither, nor, rather than, instead of, free of, less, kein*, ohne, weder, statt,
    anstatt, sans, ni, plutot que, au lieu de, moins, aucun*, sin, en vez de, senza, ne,
    invece di, piuttosto che, sem, nem, zonder, geen, noch, in plaats van, bez, ani, zamiast,
    без, ни, вместо, 无, 無, 而不是"""
"""Words that deny what follows them in the clause."""

ACCIDENT = r"""
    accident, accidents, accidental*, mistake*, mistaken*, error, fault, flaw, by chance,
    unintention*, unintended, unwanted, without intention, versehen*, unabsichtlich*,
    unbeabsichtigt*, ungewollt*, fehler*, zufall*, ohne absicht, accidentel*, par erreur,
    erreur*, involontaire*, sans le vouloir, hasard, accidente, accidental, por error,
    sin querer, involuntari*, casualidad, incidente, per sbaglio, errore, involontari*,
    senza volerlo, per caso, acidente, acidental*, por engano, sem querer, per ongeluk,
    vergissing, onbedoeld*, ongewild*, toeval*, zonder opzet, przypad*, niechcacy, niechcialem,
    nieumyslni*, niezamierzon*, blad, pomylk*, случайн*, нечаянн*, ненамеренн*, ошибк*, ошибочн*,
    непреднамерен*, 不小心, 意外, 失误, 失誤, 无意, 無意, うっかり, 誤って, (ミス(?![トテ])),
    失敗, 意図せ, 실수*, 우연*, 잘못*"""
"""Words for what happened by accident; denied, they say that it was meant."""

DENIED_BEHIND = r"(?:では|じゃ|가|이|는|은) ?(?:な|ありません|아니)"
"""What denies an accident where the denial comes behind."""

REGRET = r"""
    sorry, unfortunately, sadly, regret*, i am afraid, i'm afraid, worr*, avoid*, prevent*, fix,
    fixed, correct*, improve, reduce, reducing, remove*, get rid, came out, turned out, ended up,
    despite, struggl*, problem*, forgot*, failed, shook, shaky, vergessen, oublie*, olvid*,
    dimentic*, esquec*, vergeten, zapomn*, забыл*, 忘, 잊, leider, schade, vermeid*, verhinder*,
    beheb*, geworden, problem, trotz, malheureusement, dommage, eviter, corrig*, reduire, malgre,
    rate, ratee, por desgracia, desgraciadamente, lamentablemente, lastima, evitar, corregir,
    reducir, salio, ha salido, a pesar, purtroppo, peccato, evitare, corregg*, ridurre, e venuta,
    e venuto, nonostante, infelizmente, que pena, uma pena, reduzir, saiu, ficou, apesar, helaas,
    jammer, voorkom*, vermijd*, geworden, ondanks, niestety, szkoda, unikn*, poprawi*, wyszlo,
    wyszla, mimo, к сожалению, увы, жаль, избежать, исправить, убрать, получил*, вышл*, несмотря,
    可惜, 抱歉, 遗憾, 遺憾, 避免, 修正, 减少, 減少, 问题, 問題, 残念, 避け, 防ぐ, 防ぎ, 直し,
    てしまっ, ちゃった, 아쉽, 죄송, 미안, 피하, 방지, 줄이, 고치, 버렸, 문제"""
"""Words for what was not wanted, or is to be mended."""

ASKING = r"""
    why, how, is it, is this, is that, is the, does, should, could, would, can you, warum, wieso,
    ist das, ist es, ist die, pourquoi, est ce, por que, perche e, por que, waarom, is het,
    dlaczego, czy, почему, разве, 为什么, 為什麼, 是不是, 是否, なぜ, 왜"""
"""Words that a question begins with, whatever it ends with."""

TOO = r"""
    too, overly, zu, trop, demasiad*, troppo, troppa, demais, te, za, zbyt, слишком, чересчур,
    太, 过于, 過於, 过度, 너무"""
"""Words for too much, before what there is too much of."""

TOO_BEHIND = r"(?:い?く?.{0,1}(?:すぎ|過ぎ)| demais\b|了点|了些)"

BACKGROUND = r"""
    background*, backdrop*, hintergrund*, arriere plan*, fondo, fondos, sfondo, sfondi, fundo*,
    achtergrond*, tlo, tle, tla, фон*, фоне, 背景, バック, 배경*"""
"""Words for the background, which may be blurred where the subject should not be."""

BREAKS = r"""
    but, however, yet, although, though, because, since, so, while, whereas, aber, sondern, doch,
    jedoch, weil, denn, obwohl, mais, car, parce que, puisque, bien que, cependant, pero, sino,
    porque, aunque, (\bma\b), perche, bensi, mas, porem, maar, omdat, (\bale\b), lecz, poniewaz,
    но, потому что, однако, 但是, 但, 而是, 因为, 因為, しかし, けれど, けど, ので, 하지만,
    그러나"""
"""Conjunctions that end a clause."""

THAT = r"""
    that, dass, que, che, dat, zeby, aby, что, чтобы"""
"""Words behind a comma that does not end a clause."""
