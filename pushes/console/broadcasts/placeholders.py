"""Find forgotten placeholders: a broadcast has the same text for everyone, and no placeholder is replaced."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

_NAME = r"[^\W\d][\w.\- ]{0,40}"
#: What stands in brackets for something else. Brackets around other words are ordinary: 【双十一】, [NEW], #新品#.
_WORD = (
    r"(?i:(?:[a-z]{1,12}[ _.\-]?)?(?:name|nick|customer|recipient)|user"
    r"|(?:user|order|account|tracking)[ _.\-]?(?:id|no)"
    r"|[a-z]{1,20}(?:_[a-z0-9]{1,20}){1,4}"
    r"|(?:亲爱的|尊敬的)?(?:用户|会员|客户|顾客|买家|卖家|商家|好友|收货人|收件人|联系人|账号)?"
    r"(?:昵称|暱稱|姓名|名字|用户名|用戶名|称呼|稱呼|网名|收货人|收件人|手机号码?|订单号|订单编号|快递单号|物流单号|运单号))"
)
#: `%s`, `%1$s`, `%-10s`, `%.2f`, `%@`; no percentage (100%s) and no escape of an address (%2f).
_PERCENT = r"(?<![\d%])%(?:\d\$)?(?:[-+#]\d{0,2}|0[1-9])?(?:\.\d{1,2})?(?:l{0,2}[dius]|[f@])(?![A-Za-z0-9])"
_FORMS = re.compile(
    "|".join(
        (
            r"\{\{.{0,60}?\}\}",  # {{nickname}}
            r"\{%.{0,60}?%\}",  # {% if vip %}
            r"[$#@%]\{.{0,60}?\}",  # ${nickname}, #{nickname}
            rf"\{{ ?[!$]?{_NAME}(?:[!:|?.\[][^{{}}\n]{{0,40}})?\}}",  # {nickname}, {user['name']}, {name|upper}
            r"\{\d{0,3}(?::[<>=^+\-]?[\d,.]{0,6}[a-z%]?)?\}",  # {0}, {}, {:.2f}
            r"\[\[.{0,60}?\]\]",  # [[nickname]]
            r"<%.{0,60}?%>",
            r"<\?.{1,60}?\?>",
            r"\*\|.{1,40}?\|\*",
            rf"\[ ?{_WORD} ?\]",
            rf"【 ?{_WORD} ?】",
            rf"<+ ?{_WORD} ?/?>+",
            rf"\(\({_WORD}\)\)",
            rf"#+{_WORD}#+",
            rf"@{_WORD}@",
            r"[$\\]\([^\W\d]\w{0,40}\)",  # $(nickname), \(nickname)
            r"%\(\w{1,40}\)[-+#0-9.]{0,6}[a-z]",  # %(nickname)s
            r"(?<!\d)(?<!\d )%[A-Za-z_]\w{0,40}%",  # %nickname%, and no 30%优惠60%
            rf"(?<!\d)(?<!\d )%{_WORD}%",
            _PERCENT,
            r"(?<![A-Za-z\d])\$[a-z_][A-Za-z0-9_]{0,40}",  # $nickname, and no share ($AAPL)
            rf"(?<![A-Za-z\d])\${_WORD}",
            r"\b__[A-Za-z]\w{0,40}?__\b",
        )
    )
)
#: An address may carry text of its own in such a form: %E4%BD%A0.
_ADDRESS = re.compile(r"\w+://\S+")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


def found(*values: Any) -> list[str]:
    """Return what looks like a placeholder in these texts (or in the texts of these objects and lists), each once.

    Full-width signs, as Chinese keyboards type them, count as the plain signs.
    """
    every = (match[0] for text in _texts(values) for match in _FORMS.finditer(_plain(text)))
    return list(dict.fromkeys(every))


def _plain(text: str) -> str:
    return _ADDRESS.sub(lambda address: _ESCAPE.sub("-", address[0]), unicodedata.normalize("NFKC", text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
