import pytest
from django.utils import translation

from pushes.admin.broadcast_words import sentence


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        ("paused by 王小明", "由 王小明 暂停"),
        ("the devices are in another database, and DIRECTORY_ALL_DEVICES_SQL is not set: x", "设备在另一个数据库中"),
        ("DIRECTORY_ALL_DEVICES_SQL: the query returns no column 'row_id', only a", "没有返回“row_id”列"),
        ("DIRECTORY_ALL_DEVICES_SQL: row_id 3 comes after 4: it must", "row_id 3 出现在 4 之后"),
        ("DIRECTORY_ALL_DEVICES_SQL: (2003, 'gone')", "返回错误：(2003, 'gone')"),
        ("too many bad tokens", "too many bad tokens"),
    ],
)
def test_known_sentences_are_told_in_the_reader_s_language(noted: str, words: str) -> None:
    with translation.override("zh-hans"):
        assert words in sentence(noted)
