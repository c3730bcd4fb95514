//! The same bytes sent to redis-server and to the server under test must bring the same bytes
//! back. Redis's replies are those of version 7.0; only what both servers have is compared.

use super::harness::{Client, RedisServer, Server, encode, show};

/// Numbers, what looks like numbers, and the edges of the 64-bit range and of our own
/// representations.
const VALUES: [&str; 30] = [
    "",
    "0",
    "1",
    "-1",
    "-0",
    "+1",
    "01",
    " 1",
    "1 ",
    "1.0",
    "1e3",
    "0x10",
    "-",
    "+",
    "abc",
    "10",
    "99",
    "-100",
    "4611686018427387903",
    "4611686018427387904",
    "-4611686018427387904",
    "-4611686018427387905",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "00000000000000000000000001",
];

/// Commands whose arity errors are compared.
const NAMES: [&str; 20] = [
    "GET", "SET", "SETNX", "MGET", "MSET", "APPEND", "STRLEN", "INCR", "DECR", "INCRBY", "DECRBY",
    "DEL", "UNLINK", "EXISTS", "TYPE", "SELECT", "DBSIZE", "ECHO", "PING", "CLIENT",
];

/// All arguments of one command.
type Request = Vec<Vec<u8>>;

fn request(line: &str) -> Request {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Each counter command on each kind of value, and with each kind of operand.
fn number_requests() -> Vec<Request> {
    let mut lines = Vec::new();
    for value in VALUES {
        for command in ["INCR n", "DECR n", "INCRBY n 7", "DECRBY n 7", "APPEND n 5", "STRLEN n"] {
            lines.push(format!("SET n {value}"));
            lines.push(command.to_owned());
            lines.push("GET n".to_owned());
        }
        for start in ["0", "-5", "9223372036854775000", "-9223372036854775000"] {
            for command in ["INCRBY", "DECRBY"] {
                lines.push(format!("SET m {start}"));
                lines.push(format!("{command} m {value}"));
                lines.push("GET m".to_owned());
            }
        }
        lines.push(format!("SELECT {value}"));
        lines.push("SELECT 0".to_owned());
    }
    lines.iter().map(|line| request(line)).collect()
}

/// Each command with none to five arguments, in upper, lower and mixed case.
fn arity_requests() -> Vec<Request> {
    let mut requests = Vec::new();
    for name in NAMES {
        let mixed: String = name
            .chars()
            .enumerate()
            .map(|(place, c)| if place % 2 == 0 { c.to_ascii_lowercase() } else { c })
            .collect();
        for spelling in [name.to_owned(), name.to_lowercase(), mixed] {
            for count in 0..=5 {
                let arguments = (0..count).map(|index| format!("{index}").into_bytes());
                let name = spelling.clone().into_bytes();
                requests.push(std::iter::once(name).chain(arguments).collect());
            }
        }
    }
    requests
}

/// Unknown commands with arguments of every kind: the error quotes them.
fn unknown_requests() -> Vec<Request> {
    let long = "x".repeat(200);
    let longest = "y".repeat(20_000);
    let mut requests: Vec<Request> =
        ["FOO", "foo a b", "SETT k v", "GE", "GETT", " GET", "GET ", "*1"]
            .into_iter()
            .map(|line| vec![line.as_bytes().to_vec()])
            .collect();
    requests.push(request("FOO a b c d e f g h i j k l m n o p q r s t u v w x y z"));
    requests.push(vec![long.clone().into_bytes(), b"a".to_vec()]);
    requests.push(vec![b"FOO".to_vec(), long.clone().into_bytes(), long.into_bytes()]);
    requests.push(vec![b"FOO".to_vec(), longest.into_bytes()]);
    for bytes in [&b"\0"[..], b"a\0b", b"a\r\nb", b"'quoted'", b"\xff\xfe", b"", b" "] {
        requests.push(vec![bytes.to_vec()]);
        requests.push(vec![b"FOO".to_vec(), bytes.to_vec(), b"tail".to_vec()]);
        requests.push(vec![b"SELECT".to_vec(), bytes.to_vec()]);
        requests.push(vec![b"CLIENT".to_vec(), bytes.to_vec()]);
        requests.push(vec![b"SET".to_vec(), bytes.to_vec(), bytes.to_vec()]);
        requests.push(vec![b"GET".to_vec(), bytes.to_vec()]);
        requests.push(vec![b"ECHO".to_vec(), bytes.to_vec()]);
        requests.push(vec![b"INCR".to_vec(), bytes.to_vec()]);
    }
    requests
}

/// What does not follow a pattern.
fn other_requests() -> Vec<Request> {
    let lines = [
        "FLUSHALL|DBSIZE|MSET a 1 b 2 c 3|MGET a b c d|MSET a 1 a 2|GET a|EXISTS a a b x",
        "DEL a a x|UNLINK b b c|DBSIZE|SETNX a 1|SETNX a 2|GET a|TYPE a|TYPE x|APPEND x ",
        "TYPE x|GET x|STRLEN x|APPEND x 1|INCR x|APPEND x 0|INCR x|SET a b EX|SET a b FOO",
        "SET a b NX XX|FLUSHDB FOO|FLUSHDB SYNC|FLUSHALL ASYNC|FLUSHALL SYNC SYNC|HELLO 1",
        "HELLO 4|HELLO x|HELLO 3 FOO|HELLO 2 SETNAME|HELLO 9223372036854775808|CLIENT GETNAME",
        "CLIENT SETNAME me|CLIENT GETNAME|CLIENT SETNAME |CLIENT GETNAME|CLIENT SETNAME",
        "CLIENT GETNAME x|CLIENT ID x|CLIENT FOO|CLIENT FOO BAR|COMMAND FOO|COMMAND COUNT x",
        "COMMAND INFO foo|COMMAND DOCS foo|COMMAND GETKEYS GET k|COMMAND GETKEYS MSET a 1 b 2",
        "COMMAND GETKEYS PING|COMMAND GETKEYS FOO|COMMAND GETKEYS GET|COMMAND GETKEYS",
        "CONFIG FOO|CONFIG GET|CONFIG GET foo|CONFIG|CONFIG GET appendonly",
        "CONFIG GET databases|CONFIG GET maxmemory|PING|PING hi|ECHO hi|SELECT 15|SET a 15",
        "SELECT 0|GET a|SELECT 15|GET a|SELECT 0|DBSIZE",
    ];
    lines.iter().flat_map(|line| line.split('|')).map(request).collect()
}

/// Sends each request to both; returns what differs.
fn differences(requests: &[Request], redis: &mut Client, ours: &mut Client) -> Vec<String> {
    let mut differences = Vec::new();
    for request in requests {
        let bytes = encode(request);
        let (expected, reply) = (redis.call(request), ours.call(request));
        if expected != reply {
            let (expected, reply) = (show(&expected), show(&reply));
            differences.push(format!("{}\n  redis: {expected}\n  ours:  {reply}", show(&bytes)));
        }
    }
    differences
}

/// Compares in one protocol, on fresh servers.
fn compare(greeting: &str, requests: &[Request]) {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let (mut redis, mut ours) = (redis.connect(), ours.connect());
    for client in [&mut redis, &mut ours] {
        client.ask(greeting);
    }
    let differences = differences(requests, &mut redis, &mut ours);
    assert!(
        differences.is_empty(),
        "{} of {} differ after {greeting}:\n{}",
        differences.len(),
        requests.len(),
        differences.join("\n")
    );
}

#[test]
fn numbers_are_understood_as_redis_does() {
    let requests = number_requests();
    assert!(requests.len() > 1_000);
    compare("HELLO 2", &requests);
}

#[test]
fn wrong_numbers_of_arguments_are_refused_as_redis_does() {
    let requests = arity_requests();
    assert!(requests.len() > 300);
    compare("HELLO 2", &requests);
    compare("HELLO 3", &requests);
}

#[test]
fn unknown_commands_and_odd_bytes_are_answered_as_redis_does() {
    compare("HELLO 2", &unknown_requests());
    compare("HELLO 3", &unknown_requests());
}

#[test]
fn everything_else_is_answered_as_redis_does() {
    compare("HELLO 2", &other_requests());
    compare("HELLO 3", &other_requests());
}

/// Raw streams up to the end of the connection. Not compared: a NUL in an inline command or a
/// header, where Redis stops looking for the line's end.
#[test]
fn odd_streams_are_answered_as_redis_does() {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let streams: [&[u8]; 38] = [
        b"*1\r\n$4\r\nPING\r\n",
        b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
        b"*1\n$4\nPING\n",
        b"*0\r\nPING\r\n",
        b"*-1\r\nPING\r\n",
        b"*-5\r\nPING\r\n",
        b"*+1\r\n$4\r\nPING\r\n",
        b"* 1\r\n$4\r\nPING\r\n",
        b"*1 \r\n$4\r\nPING\r\n",
        b"*\r\nPING\r\n",
        b"**\r\n",
        b"*1\r\n*1\r\n",
        b"*1\r\n+PING\r\n",
        b"*1\r\n\r\n",
        b"*1\r\n\xff\r\n",
        b"*1\r\n$+4\r\nPING\r\n",
        b"*1\r\n$ 4\r\nPING\r\n",
        b"*1\r\n$04\r\nPING\r\n",
        b"*1\r\n$-0\r\n\r\n",
        b"*1\r\n$0\r\n\r\nPING\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$99999999999999999999\r\n",
        b"*2147483647\r\n$4\r\nPING\r\n:1\r\n",
        b"*1048577\r\n$4\r\nPING\r\nPING\r\n",
        b"*2147483648\r\n",
        b"*99999999999999999999\r\n",
        b"PING\r\n",
        b"PING\n",
        b"\n\n\nPING\n",
        b"   \r\nPING\r\n",
        b"PING \"a b\"\r\n",
        b"PING 'a b\r\nPING\r\n",
        b"PING \"a\"b\r\nPING\r\n",
        b"PING \"\\x41\\n\\\\\"\r\n",
        b"ECHO a\rb\r\n",
        b"PING\r\r\n",
        b"\"PING\"\r\n",
        b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
    ];
    let mut differences = Vec::new();
    for stream in streams {
        let answer = |mut client: Client| {
            let _ = client.try_send(stream);
            client.finish_sending();
            show(&client.rest())
        };
        let (expected, reply) = (answer(redis.connect()), answer(ours.connect()));
        if expected != reply {
            differences.push(format!("{}\n  redis: {expected}\n  ours:  {reply}", show(stream)));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_comparison_sees_a_difference() {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let (mut redis, mut ours) = (redis.connect(), ours.connect());
    assert_eq!(ours.ask("SET k v"), "+OK\r\n");
    let requests = [request("PING"), request("GET k")];
    assert_eq!(differences(&requests, &mut redis, &mut ours).len(), 1);
}
