<?php
// A Xinge v2 client written from the protocol alone, for PHP as the backend runs it. Usage: php client.php URL ACCESS_ID SECRET TOKEN
[$script, $url, $accessId, $secret, $token] = $argv;

function call(string $path, array $params): array
{
    global $url, $accessId, $secret;
    $params += ['access_id' => $accessId, 'timestamp' => time()];
    ksort($params, SORT_STRING);
    $source = 'POST' . parse_url($url, PHP_URL_HOST) . $path;
    foreach ($params as $name => $value) {
        $source .= "$name=$value";
    }
    $params['sign'] = md5($source . $secret);
    $options = ['method' => 'POST', 'header' => 'Content-Type: application/x-www-form-urlencoded',
        'content' => http_build_query($params), 'timeout' => 10];
    return json_decode(file_get_contents($url . $path, false, stream_context_create(['http' => $options])), true);
}

// json_encode escapes non-ASCII characters as \uXXXX: the escapes are what is signed.
$message = json_encode(['title' => '新订单', 'content' => '内容 & =1 "引号" 😀', 'builder_id' => 0, 'n_id' => 5,
    'custom_content' => ['type' => '5'], 'accept_time' => []]);
$common = ['message' => $message, 'message_type' => 1, 'environment' => 0, 'expire_time' => 86400, 'multi_pkg' => 0,
    'send_time' => '2013-12-19 17:49:00'];
$answers = ['single' => call('/v2/push/single_device', $common + ['device_token' => $token])];
$answers['create'] = call('/v2/push/create_multipush', $common);
$answers['list'] = call('/v2/push/device_list_multiple', ['push_id' => $answers['create']['result']['push_id'],
    'device_list' => json_encode([$token, strrev($token)])]);
$answers['count'] = call('/v2/application/get_app_device_num', []);
$answers['expired'] = call('/v2/application/get_app_device_num', ['timestamp' => time() - 3600]);
echo json_encode($answers);
