# ruff: noqa: E501 - one alternative a line reads better than a pattern broken in pieces
"""As `refusal_words`, for the sixteen languages of which the labelled set has some dozens of answers each."""

from __future__ import annotations

from typing import Final

from .refusal_words import Words, any_of

_MARKS: Final = "[;:–—]"

_PT: Final = Words(
    letter="[a-z]",
    declines=any_of(
        r"\bnão (?:(?:te|lhe|o|a|vos|me) )?(?:posso|poderei|poderia|consigo|devo|vou|quero)\b",
        r"\bnão (?:me é possível|estou (?:autorizad[oa]|habilitad[oa]|em condições|apt[oa]|capacitad[oa]|programad[oa])|sou capaz|tenho (?:permissão|autorização|acesso|capacidade|a capacidade|como|ferramentas))|\bme é impossível|\bnão me sinto",
        r"\bnão (?:partilho|compartilho|forneço|dou|ofereço|escrevo|crio|gero|revelo|discuto|comento|respondo|participo|divulgo)\b",
        r"\bprefiro não\b|\brecuso-me\b|\bme recuso\b|\blamento não poder\b|\bnão poder ajud",
        r"\b(?:preciso de|tenho (?:de|que)|devo|vou ter (?:de|que)|sou obrigad[oa] a) (?:recusar|declinar|negar|dizer (?:que )?não|não)",
        r"\b(?:fora d[oae]s? (?:meu|minhas?|meus|que posso)|além d[oa]s? (?:meu|minhas?|meus|que posso)|não faz parte d[ao]s min)",
        r"\b(?:pedido|solicitação|isso|isto|pergunta)\b[^.!?;:]{0,20}\b(?:viola|vai contra|contraria|infringe)\b[^.!?;:]{0,4}\b(?:[ao]s )?(?:minhas?|meus?|noss[ao]s?)",
        r"\bas minhas (?:instruções|diretrizes|regras) (?:não|me |impedem)|\bminhas (?:instruções|diretrizes|regras) (?:não|me |impedem)",
        r"\bsó posso\b",
        r"\b(?P<policy>não podemos (?:ajud\w*|(?:atender|responder|processar) (?:a[oa]? )?(?:seu|sua|est[ea]|ess[ea]) |(?:revelar|divulgar|partilhar|compartilhar) (?:\w+ ){0,3}?(?:pessoais|confidenciais|de outr\w+)))",
    ),
    not_meant=r"\b(?:se|quando|caso) (?:não|eu não|o \w+ não)\b|\b(?:posso|consigo|poderei) (?:prever|prometer|garantir|ver|encontrar|saber|adivinhar)\b|\bdata exata\b",
    bounds=r"\b(?:após|depois|antes|sem|por (?:e-mail|telefone)|até)\b",
    turns=rf",? (?:mas|porém|contudo|no entanto|todavia|embora)\b|{_MARKS}",
    begins=r"(?:mas|porém|contudo|no entanto|em geral|geralmente|normalmente|aqui (?:está|vai)|em vez disso|pode(?! (?:contactar|consultar|ligar|perguntar))),? ",
    elsewhere=r"\b(?:posso|poderia|terei|estou)\b[^.!?:]{0,25}\b(?:ajud\w*|responder|prazer|oferecer|sugerir)|\b(?:contact\w*|consult\w*|fale|pergunte|ligue|tente|obrigad[oa]|desculpe|há algo|tem alguma)\b",
    nothing_but=r"(?:desculpe|desculpa|lamento|sinto muito|perdão|não)(?:,? (?:mas )?(?:não posso|não é possível|não|não consigo))?",
)
_IT: Final = Words(
    letter="[a-z]",
    declines=any_of(
        r"\bnon (?:(?:ti|le|vi|la|mi) )?(?:posso|potrò|potrei|riesco|intendo|voglio|devo)\b",
        r"\bnon (?:sono (?:in grado|autorizzat[oa]|abilitat[oa]|nella posizione|capace|programmat[oa])|mi è (?:possibile|consentito|permesso)|ho (?:accesso|il permesso|l'autorizzazione|la possibilità|la capacità|gli strumenti)|mi sento)|\bmi è impossibile",
        r"\bnon (?:condivido|fornisco|do|offro|genero|rivelo|discuto|commento|rispondo|partecipo|divulgo|creo (?:quest|contenut)|scrivo (?:quest|contenut|recension))\b|\bnon (?:fornirò|darò|scriverò|condividerò|creerò|rivelerò|aiuterò|farò|risponderò)\b",
        r"\bpreferisco non\b|\bmi rifiuto\b|\bdevo (?:rifiutar\w*|declinar\w*|dire di no|non )|\bsono costrett[oa] a (?:rifiutar\w*|declinar\w*)|\bspiacente di non poter",
        r"\b(?:esula|va oltre|è al di fuori|non rientra)\b[^.!?;:]{0,30}\b(?:mi[eao]i?|ciò che posso|quello che posso)|\besula dalle",
        r"\b(?:richiesta|domanda|questo|ciò)\b[^.!?;:]{0,20}\b(?:viola|va contro|contraria|è contraria a)\b[^.!?;:]{0,4}\b(?:le |i )?(?:mi[ei]i?|nostr[ei])",
        r"\ble mie (?:istruzioni|regole|linee guida) (?:non|mi |impediscono|vietano)",
        r"\bposso (?:solo|soltanto) |\bposso (?:rispondere|aiutar\w+) (?:solo|soltanto)",
        r"\b(?P<policy>non possiamo (?:aiutar\w*|(?:soddisfare|elaborare|rispondere a) (?:la sua|questa|la tua) |(?:rivelare|divulgare|condividere) (?:\w+ ){0,3}?(?:personali|riservat\w+|di altr\w+)))",
    ),
    not_meant=r"\b(?:se|quando|qualora) (?:non|il \w+ non|lei non)\b|\b(?:posso|riesco a|potrò) (?:prevedere|promettere|garantire|vedere|trovare|sapere|escludere)\b|\bdata (?:precisa|esatta)\b",
    bounds=r"\b(?:dopo|prima|senza|fino|via e-mail|per telefono)\b",
    turns=rf",? (?:ma|però|tuttavia|comunque|invece)\b|{_MARKS}",
    begins=r"(?:ma|però|tuttavia|invece|in generale|di solito|di norma|in genere|ecco|può(?! (?:contattare|consultare|chiamare|rivolgersi))),? ",
    elsewhere=r"\b(?:posso|potrei|sarò|sono)\b[^.!?:]{0,25}\b(?:aiutar\w*|rispondere|liet[oa]|offrir\w*|suggerir\w*)|\b(?:contatt\w*|consult\w*|parl[ai]\w*|chied\w+|chiam\w+|rivolg\w*|riprov\w*|grazie|c'è altro|ne ha|meglio)\b",
    nothing_but=r"(?:mi (?:dispiace|spiace)(?: molto)?|scusi|scusa|purtroppo|spiacente|no)(?:,? (?:ma )?(?:non posso|non è possibile|no))?",
)
_NL: Final = Words(
    letter="[a-z]",
    declines=any_of(
        r"\b(?:(?:kan|mag|zal|wil|ga) ik|ik (?:kan|mag|zal|wil|ga))\b[^.!?;:]{0,70}?\b(?:niet|niets|geen|alleen)\b",
        r"\b(?:kan|mag|wil) ik\b[^.!?;:]{0,25}\bniet\b",
        r"\bik (?:deel|geef|verstrek|schrijf|maak|bespreek|beantwoord|praat|doe|onthul|bied)\b[^.!?;:]{0,30}\b(?:niet|geen|liever niet)\b|\bpraat ik liever niet\b|\b(?:liever niet|doe ik niet)\b",
        r"\bik ben\b[^.!?;:]{0,20}\bniet (?:in staat|bevoegd|gemachtigd|bereid)|\bik heb (?:helaas )?geen (?:toegang|toestemming|bevoegdheid|mogelijkheid|hulpmiddelen)",
        r"\b(?:ik moet|moet ik)\b[^.!?;:]{0,40}\b(?:weigeren|afwijzen|bedanken|nee zeggen)\b|\bik weiger\b",
        r"\b(?:valt|ligt|gaat) (?:helaas )?(?:buiten|niet binnen) (?:mijn|wat ik)|\bbuiten mijn\b|\bis (?:me|mij|voor mij) niet (?:mogelijk|toegestaan)",
        r"\bin strijd met (?:mijn|onze)\b",
        r"\b(?:mijn|onze) (?:instructies|richtlijnen|regels) (?:staan|verbieden|laten|verhinderen)",
        r"\b(?P<policy>(?:kunnen (?:wij|we)|(?:wij|we) kunnen) (?:\w+ ){0,3}?(?:verzoek|vraag|aanvraag) (?:\w+ )?niet (?:behandelen|beantwoorden|verwerken)|(?:wij|we) kunnen (?:u|je) (?:\w+ ){0,3}?niet helpen)",
    ),
    not_meant=r"^(?:als|indien|wanneer|zonder)\b|\b(?:geen bestelling|niet (?:voorspellen|beloven|garanderen|zien|vinden|zeker))\b|\bexacte (?:datum|tijd)\b",
    bounds=r"\b(?:na \d+|per e-mail|zonder|tot)\b",
    turns=rf",? (?:maar|echter|wel|toch)\b|{_MARKS}",
    begins=r"(?:maar|echter|toch|in plaats daarvan|over het algemeen|meestal|hier (?:is|zijn)|u kunt(?! (?:contact|het beste))),? ",
    elsewhere=r"\bik (?:kan|zou|help|sta)\b[^.!?:]{0,25}\b(?:helpen|graag|beantwoorden|aanraden)|\b(?:neem|contact|raadpleeg\w*|raadplegen|praat|vraag|bel|probeer|bedankt|heeft u|heb je)\b",
    nothing_but=r"(?:het spijt me|sorry|excuses|helaas|nee)(?:,? (?:maar )?(?:dat kan ik niet|dat gaat niet|nee|dat is niet mogelijk))?",
)
_NORDIC_NOT: Final = r"(?:inte|ikke|ej|inget|ingen|intet)"
_NORDIC: Final = Words(
    letter="[a-z]",
    declines=any_of(
        rf"\b(?:jag|jeg)(?: (?:tyvärr|desværre|dessverre))? (?:kan|får|vil|må|kommer|tänker|kunne)\b[^.!?;:]{{0,25}}?\b{_NORDIC_NOT}\b",
        rf"\b(?:kan|får|vil|må) (?:jag|jeg)\b[^.!?;:]{{0,25}}?\b{_NORDIC_NOT}\b",
        rf"\b(?:jag|jeg) (?:delar|deler|ger|gir|giver|skriver|svarar|svarer|hjälper|hjælper|hjelper|lämnar|oplyser) {_NORDIC_NOT}\b",
        rf"\b(?:jag|jeg) har (?:tyvärr |desværre |dessverre )?{_NORDIC_NOT} (?:tillgång|adgang|tilgang|behörighet|tilladelse|tillatelse|möjlighet|mulighed|mulighet)|\b(?:jag|jeg) er (?:desværre |dessverre )?ikke (?:i stand|bemyndiget|autorisert)|\bjag är (?:tyvärr )?inte (?:behörig|auktoriserad|programmerad)",
        r"\b(?:jag|jeg) (?:måste|må|er nødt til at|är tvungen att) (?:tyvärr |desværre |dessverre )?(?:avböja|avslå|afvise|avvise|neka|säga nej|takke nej)|\b(?:jag|jeg) (?:vägrar|nægter|nekter)\b",
        r"\b(?:strider mot|strider mod|strider imod|i strid med|bryter mot|bryder) (?:mina|våra|mine|vores|våre|retningslinjene mine)\b|\b(?:utanför|uden for|utenfor) (?:mina|mit|mitt|mine|det jag|det jeg)\b",
        r"\b(?:jag|jeg) kan (?:bara|kun|bare) (?:svara|svare|hjälpa|hjælpe|hjelpe)",
        r"\b(?:mina|mine) (?:instruktioner|retningslinjer|instrukser)[^.!?;:]{0,20}\b(?:tillåter|tillader|tillater|forbyr|förbjuder)",
    ),
    not_meant=r"^(?:om|hvis|når|när)\b|\b(?:hittar|finder|finner) (?:ingen|ikke)\b|\b(?:exakt datum|præcise dato|nøyaktige dato|förutsäga|forudsige|forutsi|lova|love|garantera|garantere)\b",
    turns=rf",? (?:men|däremot|dock|derimod|derimot|dog)\b|{_MARKS}",
    begins=r"(?:men|däremot|dock|istället|i stedet|generellt|vanligtvis|normalt|her er|här är|du kan(?! (?:kontakt))),? ",
    elsewhere=r"\b(?:jag|jeg) (?:kan|hjälper|hjælper|hjelper|vil)\b[^.!?:]{0,25}\b(?:hjälpa|hjælpe|hjelpe|gärna|gerne|svara|svare)|\b(?:det kan jag|det kan jeg|kontakta|kontakt|prata|tal med|snakk|fråga|spørg|spør|tack|takk|tak|har du)\b",
    nothing_but=r"(?:(?:jag|jeg) (?:beklagar|beklager)|beklager|beklagar|förlåt|undskyld|unnskyld|tyvärr|desværre|dessverre|nej|nei)(?:,? (?:men )?(?:det kan jag inte|det kan jeg (?:desværre |dessverre )?ikke|det går inte|det går ikke|nej|nei))?",
)
_PL: Final = Words(
    letter="[a-z]",
    declines=any_of(
        r"\bnie (?:mogę|jestem w stanie|potrafię|mam możliwości|mogłabym|mógłbym|będę|jestem upoważnion[ya]|wolno mi|jestem uprawnion[ya]|mam (?:uprawnień|dostępu|zgody|prawa|narzędzi))\b",
        r"\bnie (?:udostępniam|podaję|podam|udzielam|udzielę|piszę|napiszę|tworzę|stworzę|omawiam|komentuję|ujawniam|ujawnię|pomogę|odpowiem|zrobię)\b|\bwolę nie\b",
        r"\b(?:muszę|jestem zmuszon[ya]) (?:niestety )?odmówić|\bodmawiam\b",
        r"\bwykracza poza (?:moje|mój|to, co)|\bnie należy do (?:moich|mojego)",
        r"\bniezgodn[eya] z (?:moimi|naszymi)|\bnarusza (?:moje|nasze)\b|\bmoje (?:instrukcje|zasady|wytyczne) (?:nie|zabraniają)",
        r"\bmogę (?:tylko|jedynie) |\bmogę (?:odpowiadać|pomóc|odpowiedzieć|pomagać) (?:tylko|jedynie|wyłącznie)",
        r"\b(?P<policy>nie możemy (?:pomóc|(?:spełnić|zrealizować|rozpatrzyć) (?:tej|twojej|pana|pani) |(?:ujawnić|udostępnić) (?:\w+ ){0,2}?(?:osobowych|poufnych|innych)))",
    ),
    not_meant=r"\b(?:jeśli|jeżeli|gdy|kiedy)\b[^.!?;:]{0,30}\bnie\b|\b(?:przewidzieć|obiecać|zagwarantować|znaleźć|zobaczyć)\b|\bdokładnej daty\b",
    turns=rf",? (?:ale|jednak|natomiast|lecz)\b|{_MARKS}",
    begins=r"(?:ale|jednak|natomiast|zamiast tego|ogólnie|zazwyczaj|zwykle|oto|można|możesz(?! (?:skontaktować|zapytać))),? ",
    elsewhere=r"\b(?:mogę|chętnie|pomogę)\b[^.!?:]{0,25}\b(?:pom|odpow|zaproponować)|\b(?:pomóc|skontakt\w*|proszę (?:porozmawiać|spróbować|zapytać)|skonsult\w*|zadzwoń\w*|dziękuję|czy)\b|\b(?:nie mogę|w tym)\b",
    nothing_but=r"(?:przykro mi|przepraszam|niestety|nie)(?:,? (?:ale )?(?:nie mogę|to niemożliwe|nie))?",
)
_CS: Final = Words(
    letter="[a-z]",
    declines=any_of(
        r"\b(?:nemohu|nemůžu|nesmím|nedokážu|nebudu|nemám (?:přístup|oprávnění|možnost|povoleno)|nejsem (?:schop\w+|oprávněn\w?|v pozici))\b",
        r"\b(?:neposkytuji|nesdílím|nepíšu|nenapíšu|neposkytnu|odmítám|raději ne\w+)\b|\bmusím (?:\w+ )?odmítnout\b",
        r"\bporušuje (?:má|moje|naše)\b|\bv rozporu s (?:mými|našimi)\b|\bmimo (?:mé|moje|můj)\b|\bmoje (?:pokyny|pravidla) (?:ne|zakazují)",
        r"\bmohu (?:jen|pouze) |\bmohu (?:odpovídat|pomoci|odpovědět) (?:jen|pouze)",
        r"\b(?P<policy>nemůžeme (?:vám )?(?:pomoci|pomoct|sdělit (?:\w+ ){0,2}?(?:osobní|jin\w+)))",
    ),
    not_meant=r"^(?:pokud|když|jestli)\b|\b(?:předpovědět|slíbit|zaručit|najít|vidět)\b",
    turns=rf",? (?:ale|avšak|však|nicméně)\b|{_MARKS}",
    begins=r"(?:ale|avšak|však|nicméně|místo toho|obecně|obvykle|zde je|můžete(?! (?:kontaktovat|se obrátit))),? ",
    elsewhere=r"\b(?:mohu|rád\w?|pomohu)\b[^.!?:]{0,25}\b(?:pomoci|pomoct|odpovědět|poradit)|\b(?:s tím|to nemohu|pomoci|kontakt\w*|obraťte|promluvte|zeptejte|zkuste|děkuji|máte)\b",
    nothing_but=r"(?:promiňte|omlouvám se|je mi líto|bohužel|lituji|ne)(?:,? (?:ale )?(?:nemohu|to nejde|ne|to není možné))?",
)
_TR: Final = Words(
    letter="[a-z]",
    declines=any_of(
        r"\b\w+(?:amam|emem|amıyorum|emiyorum|ayamam|eyemem|amayacağım|emeyeceğim)\b",
        r"\b\w*(?:vermeyeceğim|yapmayacağım|yazmayacağım|paylaşmam|paylaşmıyorum|reddediyorum|reddetmeliyim|etmeyeceğim)\b|\breddetmek zorunda",
        r"\b(?:kapsamım|yetkim|yeteneklerim|politikalarım|kurallarım|ilkelerim)\w* (?:dışında|aykırı)|\b(?:erişimim|iznim|yetkim) yok\b|\bizin verilmiyor\b",
        r"\b(?:yalnızca|sadece)\b[^.!?;:]{0,50}\b(?:yanıtlayabilirim|cevaplayabilirim|yardımcı olabilirim)",
        r"\b(?P<policy>(?:bu konuda|size) yardımcı olam(?:ıyoruz|ayız)|(?:kişisel|gizli|başka)\b[^.!?;:]{0,30}\bpaylaşam(?:ıyoruz|ayız))",
    ),
    not_meant=r"\b(?:bulamadım|bulamıyorum|göremiyorum|göremem|tahmin edem\w+|garanti edem\w+|söz verem\w+|emin olam\w+|sabırsız\w+|koyamam)\b|\b\w+(?:amazsa|emezse|mıyorsanız|miyorsanız)\b",
    turns=rf",? (?:ama|ancak|fakat|yine de)\b|{_MARKS}",
    begins=r"(?:ama|ancak|fakat|yine de|bunun yerine|genellikle|genel olarak|işte),? ",
    elsewhere=r"\b(?:yardımcı (?:olam|olabil|olmaktan)|bu konuda|lütfen|danış\w*|görüş\w*|iletişim|sorunuz|teşekkür|başka)\w*",
    nothing_but=r"(?:üzgünüm|maalesef|özür dilerim|kusura bakmayın|hayır)(?:,? (?:ama )?(?:yapamam|hayır|mümkün değil|yapamıyorum))?",
)
_RU: Final = Words(
    letter="[\u0400-\u04ff]",
    declines=any_of(
        r"\bне (?:могу|смогу|имею права|имею возможности|вправе|буду|в состоянии|должен|должна|уполномочен\w?|способен|способна|умею|готов\w?|стану)\b",
        r"\bя не (?:раскрываю|даю|предоставляю|пишу|создаю|обсуждаю|комментирую|делюсь|участвую|отвечаю)\b|\b(?:предпочитаю|предпочёл|предпочел) не\b|\bу меня нет (?:доступа|права|прав|возможности|полномочий|разрешения|инструментов)\b",
        r"\b(?:вынужден\w?|должен|должна|мне придется|мне придётся|приходится) (?:вам )?отказать\w*|\bотказываюсь\b",
        r"\bвыходит за (?:рамки|пределы) мо|\bне входит в мо[июё]|\bвне мо(?:ей|их) (?:компетенц|возможност)",
        r"\b(?:запрос|просьба|это)\b[^.!?;:]{0,20}\b(?:противоречит|нарушает) (?:мо|наш)|\bмои (?:инструкции|правила) (?:не позволяют|запрещают)",
        r"\bмогу (?:отвечать |помочь |ответить |помогать )?(?:только|лишь)\b",
        # Ukrainian
        r"\bне (?:можу|зможу|маю права|маю змоги|уповноважен\w+|буду)\b|\bвідмовляюся\b|\bу мене немає (?:доступу|права|дозволу|можливості)\b|\bзмушен\w+ відмовити\b|\bволію не\b",
        r"\b(?:запит|прохання|це)\b[^.!?;:]{0,20}\b(?:суперечить|порушує) (?:мо|наш)|\bможу (?:відповідати |допомогти )?(?:лише|тільки)\b",
        r"\b(?P<policy>не (?:можем|можемо) (?:вам )?(?:помочь|допомогти|(?:раскрыть|розкрити) (?:личные|персональн\w+|особист\w+)))",
    ),
    not_meant=r"\b(?:если|когда|якщо|коли)\b[^.!?;:]{0,30}\bне\b|\bне (?:могу|смогу|можу|зможу) (?:предсказать|обещать|гарантировать|найти|увидеть|поставить|передбачити|обіцяти|гарантувати|знайти|назвати точн)|\bточн\w+ (?:дат|оттен|відтін)",
    turns=rf",? (?:но|однако|зато|але|проте|однак)\b|{_MARKS}",
    begins=r"(?:но|однако|зато|вместо этого|обычно|как правило|в целом|вот|але|проте|зазвичай|ось|можно(?! (?:обратиться|спросить))),? ",
    elsewhere=r"\b(?:могу|можу|рад\w?|буду рад\w?|с радостью)\b[^.!?:]{0,25}\b(?:помочь|ответить|допомогти|відповісти|предложить)|\b(?:с этим|з цим|я не|обратит\w*|обратиться|зверн\w*|поговорит\w*|поговоріть|спросит\w*|попробуйте|спробуйте|спасибо|дякую|есть ли|чи є|лучше|краще)\b",
    nothing_but=r"(?:извините|простите|к сожалению|прошу прощения|мне жаль|вибачте|перепрошую|на жаль|нет|ні)(?:,? (?:но |але )?(?:не могу|не можу|нет|ні|это невозможно|це неможливо))?",
)
_AR: Final = Words(
    letter="[\u0600-\u06ff]",
    declines=any_of(
        r"(?:لا|لن|لست) ?(?:أستطيع|استطيع|يمكنني|أقدر|اقدر|يسعني|قادر\w*|أتمكن|مخول\w*|أملك|بإمكاني|أقدم|أكتب|أشارك|أساعد|أجيب)",
        r"(?:غير قادر\w*|غير مخول\w*|يتعذر علي|أعتذر عن|اعتذر عن|يجب أن أرفض|علي أن أرفض|أرفض)",
        r"خارج (?:نطاق|عن نطاق|صلاحياتي|قدراتي)|(?:يتعارض مع|يخالف) (?:إرشاداتي|سياستي|سياساتنا|قواعدي|مبادئي|سياستنا)",
        r"(?:ليس|ليست) (?:بإمكاني|بوسعي|لدي (?:صلاحية|وصول|إذن|القدرة)|من صلاحياتي)|(?:يمكنني|أستطيع) فقط|أفضل (?:عدم|ألا)",
        r"(?P<policy>لا (?:يمكننا|نستطيع) (?:مساعد|الإفصاح|الكشف)\w*)",
    ),
    not_meant=r"^(?:إذا|عندما|لو)|(?:التنبؤ|تحديد|الوعد|العثور)",
    turns=rf"،? ?(?:لكن|ولكن|غير أن|إلا أن)\b|{_MARKS}|؛",
    begins=r"(?:لكن|ولكن|عادة|عموما|بدلا من ذلك|يمكنك) ",
    elsewhere=r"(?:(?:يمكنني|أستطيع) (?:المساعدة|مساعدتك|الإجابة)|لا يمكنني|لا أستطيع|استشر|تستشير|تحدث|اتصل|راجع|هل|شكرا)",
    nothing_but=r"(?:آسف|آسفة|عذرا|عذرًا|أعتذر|للأسف|لا)(?:،? ?(?:لكن )?(?:لا أستطيع|لا يمكنني|لا|هذا غير ممكن))?",
)
_HI: Final = Words(
    letter="[\u0900-\u097f]",
    declines=any_of(
        r"(?:मैं|मुझे|मुझसे)[^।.!?;:]{0,80}(?:नहीं (?:[^\s।]{1,8} )?(?:सकता|सकती|पाऊँगा|पाऊंगा|पाऊंगी|पाऊँगी|सकूंगा|सकूँगा|सकूंगी|दूँगा|दूंगा|दूँगी|दूंगी|करूँगा|करूंगा|करूँगी|करूंगी|लिखूँगा|लिखूंगा)|(?:असमर्थ|अक्षम) (?:हूँ|हूं))",
        r"(?:मना|इनकार|इंकार|अस्वीकार) (?:करना (?:होगा|पड़ेगा|पड़ रहा)|करता (?:हूँ|हूं)|करती (?:हूँ|हूं))",
        r"(?:मेरे|मेरी|हमारी|हमारे) (?:\S+ )?(?:दायरे|नीति\S*|नियमों|क्षेत्र|दिशानिर्देशों|दिशा-निर्देशों) (?:से बाहर|के बाहर|के खिलाफ|के ख़िलाफ़|के विरुद्ध)",
        r"मैं केवल[^।.!?;:]{0,60}सकत[ाी]|मेरे पास[^।.!?;:]{0,40}(?:पहुँच|पहुंच|अनुमति|अधिकार)[^।.!?;:]{0,6}नहीं",
    ),
    not_meant=r"^(?:अगर|यदि|जब)|(?:सटीक|अगले साल)",
    turns=rf",? (?:लेकिन|परन्तु|परंतु|मगर|किन्तु)\b|{_MARKS}",
    begins=r"(?:लेकिन|परंतु|मगर|आमतौर पर|सामान्यतः|इसके बजाय) ",
    elsewhere=r"(?:मदद कर सकता|मदद कर सकती|मैं इस|सलाह लें|बात करें|संपर्क|धन्यवाद|क्या आप)",
    nothing_but=r"(?:माफ़ कीजिए|माफ कीजिए|क्षमा करें|मुझे खेद है|खेद है|नहीं)(?:,? (?:लेकिन )?(?:मैं नहीं कर सकता|मैं नहीं कर सकती|नहीं))?",
)
_JA: Final = Words(
    letter="[\u3040-\u30ff]",
    declines=any_of(
        r"(?:お手伝い|お答え|回答|対応|提供|ご提供|お応え|支援|協力|ご協力|ご案内|サポート|お教え|作成|開示|お話し|共有|アドバイス|助言|返答|実行|お受け|ご相談に応じる|お伝え|お力になる|手助け|コメント|説明|処方|推奨|紹介|特定|翻訳|予約|検索|閲覧|確認|再現|公開|予測)(?:を)?(?:する|すること|いたすこと|差し上げること|こと)?(?:は|が|も|には)?(?:でき(?:ません|かねます|ない|兼ねます)|いたしかねます|致しかねます|出来ません|しかねます|控えさせて|差し控え|お断り|行えません|行っておりません|しておりません|できかねます)",
        r"(?:お断り(?:します|いたします|させていただきます|しなければ)|ご要望に(?:は)?(?:お応えでき|沿え)|ご遠慮(?:させて|いたします)|(?:応じ|答え|従う|お答えする|応え)(?:る)?(?:こと(?:は|が))?(?:られません|でき(?:ません|かねます)|かねます))",
        r"(?:私|当方|弊社|当社)の[^。！？]{0,10}(?:ポリシー|ガイドライン|規約|方針|規定)[^。！？]{0,4}(?:違反|反)|(?:ご依頼|ご要望|リクエスト|ご質問)は[^。！？]{0,15}(?:ポリシー|ガイドライン|規約|方針)(?:に|の)(?:違反|反)",
        r"(?:対応|業務|サポート|私の)(?:の)?(?:対応)?(?:範囲|対象)(?:外|を超え)|のみお(?:答え|手伝い)|アクセスできない|アクセスできません|権限が(?:ありません|ございません)",
    ),
    not_meant=r"場合|[0-9０-９]+日を過ぎ|第三者と|(?:正確な|来年|診断|見つかり)|返品できません|客室|家具|残高をメール|という(?:文|意味)",
    turns=r"(?:ません|ます|ない)が、|[;:]|ただし",
    begins=r"(?:ただし|しかし|代わりに|一般的に|一般に|通常|なお)",
    elsewhere=r"(?:ご相談|お問い合わせ|ご連絡|何か|お手伝いでき|申し訳|弁護士|医師|それについて|その)",
    nothing_but=r"(?:申し訳(?:ありません|ございません)|すみません|恐れ入りますが|ごめんなさい)[、,。]? ?(?:できません|できかねます|お断りします)?",
)
_ZH_I: Final = r"(?:我|本助手|恐怕|抱歉|对不起|對不起)"
_ZH: Final = Words(
    letter="[\u4e00-\u9fff]",
    declines=any_of(
        rf"{_ZH_I}(?!们|們)[^。！？!?;]{{0,14}}(?:不能|无法|無法|没办法|沒辦法|不可以|不便|不会|不會|无权|無權|不允许|不被允许)(?!看到|找到|确定|確定|保证|保證|预测|預測)",
        r"(?:超出了?|不在|不属于)(?:了)?(?:我|我的|本服务)(?:的)?[^。！？!?]{0,6}(?:范围|範圍|职责|能力|权限)",
        r"(?:请求|要求|请求|问题|這個請求)[^。！？!?]{0,6}(?:违反|違反|不符合)(?:了)?(?:我|我们|我們|使用)[^。！？!?]{0,6}(?:政策|准则|準則|规定|規定|原则|指南|规范)",
        r"(?:必须|不得不|只能)(?:拒绝|拒絕|婉拒)|我拒绝|我(?:没有|沒有|无)(?:权限|權限|权利)|帮不了|做不到|我只能(?:回答|帮助|协助|提供)",
        r"(?:这个|该|您的|你的|此)(?:请求|问题|要求)[^。！？!?]{0,4}(?:无法|不能)(?:被)?(?:满足|处理|回答|完成)",
        r"(?P<policy>我(?:们|們)(?:无法|不能|無法)(?:帮助|协助|回答|满足|透露|披露))",
    ),
    not_meant=r"^(?:如果|若|当)|(?:准确|確切|预测|明年|诊断)|不会的",
    turns=r"[,，]?(?:但是?|不过|不過|然而|可是)|[;；:：]",
    begins=r"(?:但|不过|然而|一般来说|通常|不過|您可以(?!联系|咨询))",
    elsewhere=r"(?:可以(?:帮|协助|回答)|咨询|諮詢|联系|聯繫|请问|谢谢|建议您|我不能|我无法|有什么)",
    nothing_but=r"(?:抱歉|对不起|對不起|很抱歉|不好意思|不行)[,，]? ?(?:我做不到|我不能|不行|不可以)?",
)
_KO: Final = Words(
    letter="[\uac00-\ud7af]",
    declines=any_of(
        r"(?:도와|도움|답변|대답|제공|지원|응답|공유|작성|생성|논의|수행|처리해|알려|안내|공개|말씀|조언|협조|응할|이야기|설명해|만들어|써|처방|추천|확인|들어|접근|식별|예약|검색|자문)[^.!?。]{0,14}(?:수(?:는|가)? (?:없습니다|없어요|없네요|없음|없는 점|없어)|드리기 어렵|드릴 수 없|할 수 없|못합니다|못해요|불가능합니다|어렵습니다|않겠습니다)",
        r"(?:거절|거부)(?:해야|할 수밖에|하겠습니다|합니다|드립니다)",
        r"(?:제|저의|저희) (?:\S+ )?(?:범위|권한)(?:를|을|에서)? ?(?:벗어|밖|넘)|(?:범위|권한) 밖",
        r"(?:요청|내용|질문)[^.!?]{0,12}(?:정책|지침|가이드라인|규정|원칙)(?:에|을|를) ?(?:위배|위반|어긋)|에만 (?:답변|도움|도와)",
    ),
    not_meant=r"(?:없으면|없다면|경우)|(?:\d+일이 지나면|정확한|내년|찾지 못|객실|이메일로|누구와도)|(?:라는|는) 뜻",
    turns=r"(?:지만|습니다만),? |[;:]",
    begins=r"(?:다만|하지만|그러나|대신|일반적으로|보통) ",
    elsewhere=r"(?:도와드릴 수 있|도움을 드릴 수 있|문의|상담|연락|감사|있으신가요|그것은|해당|그 )",
    nothing_but=r"(?:죄송합니다|미안합니다|죄송하지만|유감입니다|아니요)[,.]? ?(?:할 수 없습니다|안 됩니다|불가능합니다)?",
)
MORE: Final = (_PT, _IT, _NL, _NORDIC, _PL, _CS, _TR, _RU, _AR, _HI, _JA, _ZH, _KO)
