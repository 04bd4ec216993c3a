<?php
// What HIGO's PHP backend does: serialize() an array and RPUSH it. Prints what it pushed as JSON.
//
// usage: php push_orders.php HOST PORT DATABASE LIST
[, $host, $port, $database, $list] = $argv;
$redis = new Redis();
$redis->connect($host, (int)$port, 5);
$redis->select((int)$database);

function nested(int $levels): array
{
    return $levels ? ['a' => nested($levels - 1)] : [];
}

$types = [1, 5, 6, 7, 8, 9, 10, 11, 15, 16, 17, 18, 19, 20, 30, 55];
$orders = [];
foreach ($types as $type) {
    $orders[] = [
        'type' => $type,
        'to_id' => 10000 + $type,
        'app' => $type % 2 ? 'higo' : 'higirl',
        'via' => $type % 3 ? 'iphone' : 'android',
        'title' => "订单通知 $type",
        'message' => "您有一笔新的订单，请及时处理 😀 \"$type\"; a:1:{",
        'data' => [
            'order_id' => "$type",
            'price' => 12.5 + $type,
            'tiny' => 1.0E-25,
            'whole' => 3.0,
            'paid' => true,
            'refunded' => false,
            'note' => null,
            'big' => PHP_INT_MAX,
            'negative' => -5,
            'empty' => [],
            'goods' => [['id' => 1, 'name' => '口红 💄'], ['id' => 2, 'name' => "line\nbreak\0nul"]],
            'levels' => ['a' => ['b' => ['c' => ['d' => 'deep']]]],
        ],
        'msg_id' => "php-$type",
    ];
}
// Ids as text, a list of ids, a list with a hole in it, and nothing but what is needed.
$orders[] = ['type' => '5', 'to_id' => '20001', 'app' => 'higo', 'message' => 'text ids', 'msg_id' => 'php-text'];
$orders[] = ['type' => 5, 'to_id' => [20002, '20003', 20002], 'app' => 'higo', 'message' => 'list', 'msg_id' => 'php-list'];
$orders[] = ['type' => 5, 'to_id' => array_filter([20004, 0, 20005]), 'app' => 'higo', 'message' => 'hole', 'msg_id' => 'php-hole'];
$orders[] = ['to_id' => 20006, 'app' => 'higo', 'message' => 'least', 'msg_id' => 'php-least'];

// What 32-bit PHP makes of large ids, and a push that one phone asked for by its own name.
$orders[] = ['to_id' => 20007.0, 'app' => 'higirl', 'via' => 'iphone', 'message' => 'float id', 'msg_id' => 'php-float'];

// How a push looks on the phone.
$orders[] = [
    'type' => 5, 'to_id' => 20008, 'app' => 'higirl', 'message' => 'look', 'msg_id' => 'php-look',
    'subtitle' => '订单 77', 'link' => 'higo://order/77', 'image' => 'https://img.example.com/77.jpg',
    'sound' => 'ding.caf', 'badge' => 3, 'category' => 'ORDER', 'android_channel' => 'orders',
];

foreach ($orders as $order) {
    $redis->rPush($list, serialize($order));
}
// What the intake must refuse: an object, an object inside, a reference, an infinite number, no array, a cut string.
$self = ['to_id' => 1, 'app' => 'higo', 'message' => 'reference'];
$self['data'] = &$self['to_id'];
$refused = [
    'object' => serialize(new ArrayObject([1])),
    'reference' => serialize($self + ['again' => &$self['to_id']]),
    'bad_number' => serialize(['to_id' => 1, 'app' => 'higo', 'message' => 'x', 'data' => ['x' => INF]]),
    'not_an_array' => serialize('just text'),
    'truncated' => substr(serialize($orders[0]), 0, 100),
    'too_deep' => serialize(['to_id' => 1, 'app' => 'higo', 'message' => 'x', 'data' => nested(200)]),
    'too_large' => serialize(['to_id' => 1, 'app' => 'higo', 'message' => str_repeat('长', 30000)]),
    'unknown_type' => serialize(['type' => 99, 'to_id' => 1, 'app' => 'higo', 'message' => 'x']),
    'no_recipient' => serialize(['to_id' => [], 'app' => 'higo', 'message' => 'x']),
    'bad_via' => serialize(['to_id' => 1, 'app' => 'higo', 'message' => 'x', 'via' => 'symbian']),
    'bad_image' => serialize(['to_id' => 1, 'app' => 'higo', 'message' => 'x', 'image' => 'http://a/1.jpg']),
    'bad_utf8' => serialize(['to_id' => 1, 'app' => 'higo', 'message' => "\xC4\xE3\xBA\xC3"]),
];
foreach ($refused as $raw) {
    $redis->rPush($list, $raw);
}
echo json_encode(
    ['orders' => $orders, 'refused' => array_keys($refused)],
    JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR
);
