# ruff: noqa: E501 - one alternative a line reads better than a pattern broken in pieces
"""Tells from its text whether an answer declines the request, in twenty languages.

A refusal is an answer that declines to do what was asked for and says so: "I'm sorry, but I can't help with that."
An answer that regrets and then helps, that cannot promise a date, or that quotes a rule ("you cannot return worn
shoes") is not one. Only the opening is read, since that is where a refusal stands. docs/refusals.md publishes
precision and recall on the labelled set in tests/data/refusals.tsv.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final
from unicodedata import normalize

OPENING: Final = 320
"""How many characters of the answer are read."""

_APOSTROPHES: Final = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'"})
"""Before NFKC, which makes a blank and an accent of `´`; it makes a blank of every other kind of blank."""


_UNSEEN: Final = re.compile("[*_\u064b-\u0652\u200b-\u200f]")
"""Markdown's emphasis, Arabic vowel signs and zero-width characters: they change no word."""
_INEXACT: Final = re.compile(
    r"[^.!?]*\b(?:exact (?:date|time|day|number|amount)|genaue\w* (?:datum|termin|zeitpunkt|zeit)|date exacte|fecha exacta|data exata|"
    r"data exacta|data (?:esatta|precisa)|exacte (?:datum|tijd)|exakt datum|dokładnej daty|точн\w+ дат\w+)\b[^.!?]*"
)
"""Sentences that only say that something is not known exactly."""


def is_refusal(text: str) -> bool:
    """Whether the answer's opening declines the request. Empty text is no refusal: nothing was said."""
    opening = normalize("NFKC", text[: OPENING * 4].translate(_APOSTROPHES)).casefold()
    opening = " ".join(_UNSEEN.sub("", opening).split())[:OPENING]
    opening = _INEXACT.sub(" ", opening)
    return any(
        _pattern(letter).search(opening) and _pattern(*patterns).search(opening) for letter, patterns in _SCRIPTS
    )


@cache
def _pattern(*alternatives: str) -> re.Pattern[str]:
    """The alternatives as one pattern, compiled when an answer first needs it: a script unseen costs nothing."""
    return re.compile("|".join(f"(?:{alternative})" for alternative in alternatives))


# English: a first person that cannot or will not, and a verb of serving a request.
_EN_DO = (
    r"(?:help|assist|provide|comply|fulfil|fulfill|answer|discuss|engage|support|share|give|offer|create|generate|write|"
    r"produce|complete|respond|advise|participate|recommend|disclose|reveal|accommodate|carry out|do (?:that|this|so)|"
    r"translate|comment|go into|talk about|speak (?:to|about)|tell you|be of (?:help|assistance)|take part|facilitate|"
    r"explain|describe|suggest|draft|compose|role-?play|pretend|process (?:that|this|your) request|continue with (?:that|this)|"
    r"handle (?:that|this)|act on|honou?r)"
)
_EN_HEDGE = (
    r"(?!s? (?:but|noticing|wondering)\b)"
    r"(?! (?:you )?(?:with )?(?:an? |any |the )?(?:exact|precise|definite|specific (?:date|time)|firm|guarantee|better|enough)\b)"
)
_EN_NOT = (
    r"(?:can(?:'t|not| not)|could(?:n't| not)|won't|will not|must not|mustn't|may not|shouldn't|"
    r"(?:am|'m|are|'re) (?:not able|unable|not allowed|not permitted|not authori[sz]ed|not going|not in a position|"
    r"not comfortable|not designed|not programmed|not willing|prohibited from|unwilling|afraid (?:that )?(?:i|we) (?:can't|cannot))"
    r"|have to (?:decline|refuse|pass)|must (?:decline|refuse)|need to decline|do not|don't)"
)
_EN = (
    # I can't (really) help with that
    rf"\b(?:i|we)(?: (?:really|simply|just|still|also|therefore|unfortunately|regrettably))?(?: ?{_EN_NOT})"
    rf"(?: (?:to|be|able to|with|in|really|directly|currently|ethically|legally|ever)){{0,2}}"
    rf" (?<!don't )(?<!do not ){_EN_DO}(?:ing)?{_EN_HEDGE}",
    r"\b(?:i|we) (?:(?:'ll |will )?(?:have|need) to|must|am going to|'ll|will|would have to|respectfully|politely)"
    r" (?:respectfully |politely )?(?:decline|refuse|pass on)",
    r"\bi (?:respectfully )?(?:decline|refuse) to\b",
    r"\b(?:i'm|i am|we're|we are) (?:sorry|afraid),?(?: but)?(?: (?:that|this))? (?:i|we|that|this|it)"
    r"(?:'s| is)?(?: (?:can't|cannot|won't|not|outside|beyond|something i can't))"
    r"(?: (?:be able to|do|be))? (?:help|assist|that|this|so|done|possible|something i can|able to|my|the scope)",
    r"\b(?:i don't|i do not) (?:provide|offer|give|engage in|assist with|help with|discuss|answer|create|write|generate|share)\b",
    r"\b(?:that|this|it)(?: request| question| topic)?(?:'s| is| falls| lies)"
    r" (?:(?:not something|nothing) (?:i|we) (?:can|could|am able|'m able|will|may)|"
    r"(?:far |well |just )?(?:outside|beyond) (?:of )?(?:my|the scope|what i))",
    r"\bas an? (?:ai|artificial|language model|virtual assistant|automated)[^.!?]{0,60}\b(?:i )?(?:can't|cannot|can not|am unable|"
    r"'m unable|am not able|'m not able|won't|don't|do not|must)\b",
    r"\b(?:violates?|goes against|is against|conflicts? with|contrary to) (?:my|our|the) (?:[a-z]+ ){0,2}(?:guidelines|polic(?:y|ies)|principles|rules|values|programming)",
    r"^(?:sorry,? |unfortunately,? )?(?:but )?(?:not able|unable) to (?:help|assist|comply|provide|fulfil|answer|do)",
    r"^(?:sorry|unfortunately|regrettably|apologies|no)\b[^.!?]{0,25}\b(?:can't|cannot|can not|won't) (?:help|assist|do (?:that|this)|comply|answer that)",
    r"\b(?:i can|i'm able to|i am able to|i'm here to|i am here to) only (?:help|assist|answer|discuss|support|talk)",
    r"\b(?:i'm|i am) only (?:able|here|allowed|permitted|authori[sz]ed) to (?:help|assist|answer|discuss|support)",
    r"\brequest (?:denied|refused|declined)\b",
    r"\b(?:i|we)(?:'ll| will)? (?:have|need) to (?:pass|decline|refuse)\b",
    r"\b(?:my|our) (?:guidelines|polic(?:y|ies)|instructions|rules|programming) (?:do not|don't|does not|doesn't|prohibits?|forbids?|prevents?)\b[^.!?]{0,20}\b(?:me|us)\b",
)
_DE = (
    r"\b(?:kann|könnte|darf|werde|möchte|will) (?:ich|wir)(?: [\wäöüss,']+){0,6}? (?:nicht|leider nicht|kein\w*|nichts|keinesfalls)"
    r"(?: [\wäöüss\-]+){0,5}? (?:helfen|bearbeiten|weiterhelfen|behilflich|unterstützen|beantworten|anbieten|geben|bereitstellen|nachkommen|"
    r"erfüllen|erstellen|schreiben|sagen|teilen|preisgeben|mitteilen|nennen|äussern|erteilen|ausführen|machen|tun|liefern|entsprechen|verfassen|eingehen|dienen|besprechen)\b(?! genau)",
    r"\b(?:ich|wir) (?:kann|können|darf|dürfen|werde|werden|möchte)(?: [\wäöüss,'\-]+){0,6}? (?:nicht|kein\w*|nichts)"
    r"(?: [\wäöüss\-]+){0,5}? (?:helfen|bearbeiten|weiterhelfen|behilflich|unterstützen|beantworten|anbieten|geben|bereitstellen|nachkommen|"
    r"erfüllen|erstellen|schreiben|sagen|teilen|preisgeben|mitteilen|nennen|äussern|erteilen|ausführen|machen|tun|liefern|entsprechen|verfassen|eingehen|dienen|besprechen)\b",
    r"\b(?:ich|wir) bin (?:leider )?nicht (?:in der lage|befugt|berechtigt|dafür)|\bnicht in der lage,",
    r"\b(?:(?:ich|wir) (?:muss|müssen|lehne|lehnen)|muss ich|müssen wir)\b[^.!?]{0,60}\b(?:ablehnen|ab)\b",
    r"\b(?:darüber|dazu|dabei|damit|hierbei|hiermit) (?:kann|darf|möchte) ich (?:ihnen |dir )?(?:leider )?(?:nicht|nichts|keine)",
    r"\b(?:verstösst|widerspricht|verstossen) (?:leider )?(?:gegen )?(?:meine|unsere|den|die)\w* (?:\w+ )?(?:richtlinien|regeln|vorgaben|grundsätze)",
    r"\b(?:liegt|fällt|geht) (?:leider )?(?:nicht in|ausserhalb|über)[^.!?]{0,30}(?:bereich|aufgaben|möglichkeiten|zuständigkeit)",
)
_FR = (
    r"\b(?:je|nous)(?: ne|n'| n')? ?(?:ne )?(?:peux|puis|pouvons|saurais|saurait|suis|sommes|dois|pourrai|pourrais|vais)(?: malheureusement| hélas)? (?:pas|malheureusement pas|ni)?"
    r"(?:(?<=pas)|(?<=puis)|(?<=saurais))(?: (?:en mesure de|autorisée? à|capable de|habilitée? à|programmée? pour|vous|t'|te|y|en|de|être|à même de|malheureusement))*"
    r" ?(?:vous |l'|t')?(?:aider|assister|répondre|fournir|donner|accéder|satisfaire|partager|discuter|créer|générer|écrire|rédiger|proposer|divulguer|révéler|parler|produire|faire (?:cela|ça)|faire|donner suite|d'aide|aborder|utile|conseiller|accepter|commenter|traiter (?:cette|votre) demande)\b",
    r"\bje (?:dois|préfère|suis (?:contraint|obligée?) de|me vois dans l'obligation de) (?:décliner|refuser|ne pas)",
    r"\bje (?:refuse|décline)\b",
    r"\b(?:dépasse|sort du|est en dehors|hors) (?:de )?(?:mes|mon|du|le)\b[^.!?]{0,30}(?:compétences|cadre|domaine|champ|capacités)",
    r"\b(?:contraire|enfreint|va à l'encontre)\b[^.!?]{0,25}(?:politique|règles|principes|directives|consignes)",
    r"\bil m'est (?:malheureusement )?impossible\b",
)
_ES = (
    r"\bno (?:(?:me|te|le|les|os|lo) )?(?:puedo|podemos|podré|podría|debo|voy a|me es posible|estoy (?:en condiciones|en posición|autorizad[oa]|capacitad[oa]|en capacidad)|soy capaz|tengo (?:permitido|autorización)|es posible para mí)"
    r"(?: (?:de|para|a|en posición de|legalmente|directamente))?"
    r" (?:ayudar\w*|asistir\w*|proporcionar\w*|ofrecer\w*|responder\w*|cumplir|atender\w*|dar\w*|facilitar\w*|compartir\w*|crear\w*|generar\w*|escribir\w*|redactar\w*|hablar|comentar|discutir|revelar\w*|hacer(?:lo|)\b(?: eso| esto)?|participar|contestar\w*|complacer\w*|aconsejar\w*|brindar\w*|decir\w*|continuar con (?:eso|esta)|realizar\w*|tratar (?:ese|este))(?! (?:una fecha exacta|la fecha exacta))",
    r"\b(?:debo|tengo que|prefiero|me veo (?:obligad[oa] a|en la obligación de)) (?:rechazar|declinar|negarme|no )",
    r"\b(?:está|queda|se sale|va más allá|sale) (?:fuera )?(?:de )?(?:mi|mis|lo que puedo|fuera de mi)[^.!?]{0,30}(?:alcance|ámbito|competencia|capacidades|funciones)?",
    r"\b(?:va en contra|viola|infringe|incumple|es contrari[oa])\b[^.!?]{0,25}(?:polític|normas|principios|directrices|reglas)",
    r"\bme niego a\b",
    r"\bsolo puedo (?:ayudar|responder|hablar|asistir)",
)
_PT = (
    r"\bnão (?:(?:te|lhe|o|a|vos) )?(?:posso|podemos|poderei|consigo|devo|vou|me é possível|estou (?:autorizad[oa]|habilitad[oa]|em condições|apt[oa])|sou capaz|tenho (?:permissão|autorização)|é possível para mim)"
    r"(?: (?:de|para|a))?(?: (?:te|lhe|o|a))?"
    r" (?:ajud\w*|auxili\w*|assist\w*|fornec\w*|oferec\w*|respond\w*|cumpr\w*|atend\w*|dar\b|d[áa]-lo|compartilh\w*|partilh\w*|cri\w*|ger[aá]\w*|escrev\w*|redigi\w*|fal[ae]r?\b|coment\w*|discut\w*|revel\w*|faz(?:er|ê-lo)|particip\w*|aconselh\w*|diz\w*|prestar|realiz\w*|tratar)(?! (?:uma data exata))",
    r"\b(?:preciso|tenho (?:de|que)|devo|prefiro|sou obrigad[oa] a) (?:recusar|declinar|não )",
    r"\b(?:está|fica|foge|vai) (?:fora|além)? ?(?:d[oae]s?) (?:meu|minhas?|meus|âmbito|escopo)",
    r"\b(?:viola|vai contra|contraria|é contr[áa]ri[oa])\b[^.!?]{0,25}(?:polític|normas|princípios|diretrizes|regras)",
    r"\bme recuso a\b|\brecuso-me a\b",
)
_IT = (
    r"\bnon (?:(?:ti|le|vi|la) )?(?:posso|possiamo|potrò|riesco a|sono (?:in grado|autorizzat[oa]|abilitat[oa]|nella posizione)|mi è (?:possibile|consentito|permesso)|intendo|devo)"
    r"(?: (?:di|a|purtroppo))?"
    r" (?:aiutar\w*|assister\w*|fornir\w*|offrir\w*|risponder\w*|soddisfar\w*|dar\w*|condivider\w*|crear\w*|generar\w*|scriver\w*|parlar\w*|commentar\w*|discuter\w*|rivelar\w*|far(?:e|lo)\b|partecipar\w*|consigliar\w*|dir\w*|divulgar\w*|eseguir\w*|accontentar\w*|esser\w* d'aiuto|procedere con|trattare)(?! (?:una data precisa))",
    r"\b(?:devo|sono costrett[oa] a|preferisco) (?:rifiutar\w*|declinar\w*|non )",
    r"\bmi rifiuto di\b",
    r"\b(?:esula|va oltre|è al di fuori|non rientra)\b[^.!?]{0,30}(?:competenz|ambito|compiti|capacità)",
    r"\b(?:viola|va contro|è contrari[oa]|contraria)\b[^.!?]{0,25}(?:politic|norme|principi|linee guida|regole)",
)
_NL = (
    r"\b(?:kan|mag|zal|wil|ga) (?:ik|we|wij)(?: [\w']+){0,5}? (?:niet|geen|niets|helaas niet)(?: [\w\-]+){0,5}? ?(?:helpen|bijstaan|assisteren|beantwoorden|geven|verstrekken|bieden|voldoen|maken|schrijven|delen|zeggen|doen|bespreken|meewerken|ingaan|uitvoeren|vertellen|van dienst)\b",
    r"\b(?:ik|we|wij) (?:kan|mag|zal|wil|ga|kunnen|mogen)(?: [\w']+){0,5}? (?:niet|geen|niets)(?: [\w\-]+){0,5}? ?(?:helpen|bijstaan|assisteren|beantwoorden|geven|verstrekken|bieden|voldoen|maken|schrijven|delen|zeggen|doen|bespreken|meewerken|ingaan|uitvoeren|vertellen|van dienst)\b",
    r"\b(?:ik|we|wij) ben (?:helaas )?niet (?:in staat|bevoegd|gemachtigd)|\bniet in staat (?:om|u|je)",
    r"\b(?:ik|we) moet[^.!?]{0,40}\b(?:weigeren|afwijzen)\b|\bik weiger\b",
    r"\b(?:valt|ligt|gaat) (?:helaas )?(?:buiten|niet binnen)[^.!?]{0,25}(?:bereik|taken|mogelijkheden|bevoegdhe|taak)",
    r"\bin strijd met (?:mijn|onze|de|het)\b[^.!?]{0,25}(?:richtlijnen|beleid|regels)",
)
_NORDIC = (
    r"\b(?:jag|vi|jeg)(?: kan|får| vil| kommer| må)? ?(?:kan|får|kommer|kunne|vil|må)? ?(?:tyvärr|desværre|dessverre|beklageligtvis)? ?(?:inte|ikke|ej)(?: att)?(?: [\wåäöæø]+){0,2}? (?:hjälpa|hjælpe|hjelpe|bistå|assistera|svara|svare|ge|give|gi|tillhandahålla|levere|lämna|skapa|skrive|skriva|dela|dele|göra|gøre|gjøre|diskutera|diskutere|uppfylla|efterkomme|besvara|besvare|yde|tilby|tilbyde|oplyse|udlevere)\b",
    r"\b(?:tyvärr|desværre|dessverre)[^.!?]{0,12}\bkan (?:jag|jeg|vi) (?:inte|ikke)(?: [\wåäöæø]+){0,2}? (?:hjälpa|hjælpe|hjelpe|svara|svare|ge|give|gi|göra|gøre|gjøre|dela|dele|bistå|skriva|skrive|besvara|besvare)",
    r"\b(?:det|detta|dette) (?:kan|får) (?:jag|jeg|vi) (?:tyvärr |desværre |dessverre )?(?:inte|ikke) (?:hjälpa|hjælpe|hjelpe|göra|gøre|gjøre|svara|svare)",
    r"\b(?:jag|jeg) (?:måste|må|er nødt til at|är tvungen att) (?:tyvärr |desværre |dessverre )?(?:avböja|avslå|afvise|afslå|avvise|neka)",
    r"\b(?:strider mot|i strid med|bryter mot|imod|mot) (?:mina|våra|mine|vores|våre)\b[^.!?]{0,20}(?:riktlinjer|retningslinjer|regler)",
)
_PL = (
    r"\bnie (?:mogę|możemy|jestem w stanie|mam możliwości|mogłabym|mógłbym|będę|jestem upoważnion[ya]|wolno mi|jestem uprawnion[ya]|mam uprawnień)(?: [\wąćęłńóśźż,]+){0,4}?"
    r" (?:pom[óo]c|pomagać|do (?:udostępniania|udzielania|ujawniania|podawania)|udzielić|udzielać|odpowiedzieć|odpowiadać|dostarczyć|podać|spełnić|stworzyć|napisać|zrobić|udostępnić|ujawnić|rozmawiać|tego|wykonać|doradzać|doradzić|zrealizować|przygotować|wypowiadać)\b",
    r"\b(?:muszę|jestem zmuszon[ya]) (?:niestety )?odmówić|\bodmawiam\b",
    r"\bwykracza poza\b|\bnie należy do (?:moich|mojego)",
    r"\bniezgodn[eya] z (?:moimi|naszymi|zasad|polityk|wytyczn)|\bnarusza (?:moje|nasze|zasady|politykę|wytyczne)",
)
_RU = (
    r"\bне (?:могу|можем|смогу|сможем|имею права|имею возможности|вправе|буду|в состоянии|должен|должна|уполномочен\w?|способен|способна)(?: [\w,]+){0,3}?"
    r" (?:помочь|помогать|предоставить|предоставлять|ответить|отвечать|выполнить|выполнять|дать|давать|создать|создавать|написать|писать|поделиться|обсуждать|раскрыть|раскрывать|сделать|участвовать|говорить|консультировать|советовать|комментировать|содействовать|оказать|рассказать|этого)\b(?! точн)",
    r"\b(?:вынужден\w?|должен|должна|мне придется|мне придётся) (?:вам )?отказать\w*|\bя отказываюсь\b",
    r"\b(?:выходит за (?:рамки|пределы)|не входит в мо[июё])",
    r"\b(?:противоречит|нарушает)\b[^.!?]{0,25}(?:правил|политик|принцип|рекомендац)",
)
_TR = (
    r"\b(?:yardımcı olam\w*|yardım edem\w*|yanıtlayam\w*|cevaplayam\w*|sağlayam\w*|veremi\w*|veremem|paylaşam\w*|yerine getirem\w*|yapam(?:am|ıyoru[mz]|ayız|ayacağ\w*)|yazam(?:am|ıyoru[mz])|oluşturam(?:am|ıyoru[mz])|sunam\w*|konuşam\w*|destek olam\w*|açıklayamam|tartışamam)",
    r"\b(?:reddetmek zorunda|reddetmeliyim|reddediyorum|kapsamım(?:ın)? dışında|yetkim(?:in)? dışında|politikalarım\w* aykırı|kurallarım\w* aykırı|izin verilmiyor|yetkim yok)",
)
_AR = (
    r"(?:لا|لن|لست) ?(?:أستطيع|استطيع|يمكنني|أقدر|اقدر|يسعني|نستطيع|يمكننا|قادر\w*|أتمكن|مخول\w*|أملك|بإمكاني|قادرا|قادرة)(?: على| من| أن)?(?: \w+){0,1}? ?ب?(?:مساعد|المساعد|أساعد|اساعد|تقديم|أقدم|الإجابة|الاجابة|أجيب|الرد|تلبية|ألبي|توفير|أوفر|كتابة|أكتب|إنشاء|أنشئ|مشاركة|أشارك|فعل|القيام|تنفيذ|أنفذ|مناقشة|أناقش|إعطا|أعطي|الكشف|أكشف|التحدث|الحديث|الامتثال|ذلك|صلاحية)",
    r"(?:غير قادر\w*|غير مخول\w*|يتعذر علي|أعتذر عن|اعتذر عن|يجب أن أرفض|علي أن أرفض|أرفض) ?",
    r"(?:خارج (?:نطاق|عن نطاق)|يتعارض مع|يخالف) ?(?:\w+ )?(?:نطاق|عملي|اختصاص\w*|مهام\w*|سياس\w*|إرشادات\w*|قواعد\w*|صلاحيات\w*|مبادئ\w*)?",
    r"(?:ليس|ليست) (?:بإمكاني|بوسعي|لدي صلاحية|من صلاحياتي)",
)
_HI = (
    r"(?:मदद|सहायता|जवाब|उत्तर|जानकारी|सलाह|अनुरोध|काम|कार्य|ऐसा|यह|इसे|इसमें|विवरण|लिख|बता|साझा|बना|चर्चा|पूरा)[^।.!?]{0,40}(?:नहीं (?:कर|दे|बता|लिख|बना)? ?(?:सकता|सकती|सकते|पाऊँगा|पाऊंगा|पाऊंगी|पाऊँगी|पाएंगे|पाएँगे|सकूंगा|सकूँगा|सकूंगी)|(?:असमर्थ|अक्षम) (?:हूँ|हूं|हैं))",
    r"(?:मना|इनकार|इंकार|अस्वीकार) (?:करना (?:होगा|पड़ेगा|पड़ रहा)|करता हूँ|करता हूं|करती हूँ|करती हूं)",
    r"(?:मेरे|मेरी|हमारी|हमारे) (?:\S+ )?(?:दायरे|नीति\S*|नियमों|क्षेत्र|दिशानिर्देशों|दिशा-निर्देशों) (?:से बाहर|के बाहर|के खिलाफ|के विरुद्ध)",
)
_JA = (
    r"(?:お手伝い|お答え|回答|対応|提供|ご提供|お応え|支援|協力|ご協力|ご案内|サポート|お教え|作成|開示|お話し|共有|アドバイス|助言|返答|実行|お受け|ご相談に応じる|お伝え|お力になる|手助け|コメント|説明)(?:を)?(?:する|すること|いたすこと|差し上げること|こと)?(?:は|が|も|には)?(?:でき(?:ません|かねます|ない|兼ねます)|いたしかねます|致しかねます|出来ません|しかねます|控えさせて|差し控え|お断り|行えません|行っておりません|できかねます)",
    r"(?:お断り(?:します|いたします|させていただきます|しなければ)|ご要望に(?:は)?(?:お応え|沿)|ご遠慮(?:させて|いたします)|(?:応じ|答え|従う|お答えする|応え)(?:る)?(?:こと(?:は|が))?(?:られません|でき(?:ません|かねます)|かねます))",
    r"(?:ポリシー|ガイドライン|規約|方針|規定)(?:に|の)(?:違反|反)",
    r"(?:対応|業務|サポート|私の)(?:の)?(?:範囲|対象)(?:外|を超え)",
)
_ZH = (
    r"(?:我|我们|本助手|恐怕|抱歉|对不起|對不起)[^。！？!?]{0,12}(?:不能|无法|無法|没办法|沒辦法|不可以|不便|不会|不會|无权|無權|不允许|不被允许)(?:够)?(?:为您|为你|给您|给你|向您|向你|帮您|帮你|對您|為您|協助您|直接|就此|就这|就该|在这方面|对此|满足|在此)?[^。！？!?,，]{0,8}?(?:帮助|帮忙|幫助|幫忙|协助|協助|提供|回答|满足|滿足|回应|讨论|討論|分享|创建|生成|撰写|编写|撰寫|透露|执行|執行|参与|参加|处理这|处理您的|完成|给出|建议|支持|继续|說明|做到|这样做|這樣做|遵从|答复|谈论|写|泄露|披露|评论)",
    r"(?:超出了?|不在|不属于)(?:了)?(?:我|我的|本服务|我们)(?:的)?[^。！？!?]{0,6}(?:范围|範圍|职责|能力|权限)",
    r"(?:违反|違反|不符合)(?:了)?[^。！？!?]{0,10}(?:政策|准则|準則|规定|規定|原则|指南|规范)",
    r"(?:必须|不得不|只能)(?:拒绝|拒絕|婉拒)|我拒绝|(?:我|我们)(?:没有|沒有|无)(?:权限|權限|权利)",
    r"(?:这个|该|您的|你的|此)(?:请求|问题|要求)[^。！？!?]{0,4}(?:无法|不能)(?:被)?(?:满足|处理|回答|完成|提供)",
)
_KO = (
    r"(?:도와|도움|답변|대답|제공|지원|응답|공유|작성|생성|논의|수행|처리해|알려|안내|공개|말씀|조언|협조|응할|이야기|설명해|만들어|써)[^.!?。]{0,14}(?:수(?:는|가)? (?:없습니다|없어요|없네요|없음|없는 점)|드리기 어렵|드릴 수 없|할 수 없|못합니다|못해요|불가능합니다|어렵습니다|않습니다)",
    r"(?:거절|거부)(?:해야|할 수밖에|하겠습니다|합니다|드립니다)",
    r"(?:범위|권한)(?:를|을|에서)? ?(?:벗어|밖|넘)",
    r"(?:정책|지침|가이드라인|규정|원칙)(?:에|을|를) ?(?:위배|위반|어긋)",
)
_UK = r"\bне (?:можу|можемо|зможу|маю права|маю змоги|уповноважен\w+)(?: [\w',]+){0,3}? (?:допомогти|надати|відповісти|виконати|дати|створити|написати|поділитися|обговорювати|зробити|розкрити|розповісти)"
_CS = r"\b(?:nemohu|nemůžu|nemůžeme|nesmím|nejsem schop\w+|nejsem oprávněn\w?)(?: [\wáčďéěíňóřšťúůýž,]+){0,3}? (?:pomoci|pomoct|poskytnout|odpovědět|vyhovět|splnit|vytvořit|napsat|sdílet|udělat|sdělit|poradit|dělat|diskutovat)|\bmusím (?:bohužel )?odmítnout"
_LATIN: Final = (*_EN, *_DE, *_FR, *_ES, *_PT, *_IT, *_NL, *_NORDIC, *_PL, *_TR, _CS)
_SCRIPTS: Final = (
    ("[a-z]", _LATIN),
    ("[\u0400-\u04ff]", (*_RU, _UK)),
    ("[\u0600-\u06ff]", _AR),
    ("[\u0900-\u097f]", _HI),
    ("[\u3040-\u30ff\u4e00-\u9fff]", (*_JA, *_ZH)),
    ("[\uac00-\ud7af]", _KO),
)
"""A letter of a script, and the patterns to try when an opening has one."""
