use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

const USER: &str = "alice";
const SALT: &[u8] = b"a salt of brokers";

fn credentials() -> Credentials {
    Credentials { username: USER.into(), password: "right".to_owned().into() }
}

/// An honest server with SCRAM-SHA-512.
struct Server {
    first: String,
    client: String,
}

impl Server {
    fn hear(first: &[u8]) -> Self {
        let first = std::str::from_utf8(first).unwrap();
        Self { first: String::new(), client: first.strip_prefix("n,,").or(first.strip_prefix("y,,")).unwrap().into() }
    }

    fn first(&mut self, rounds: u32) -> Bytes {
        let nonce = self.client.split_once("r=").unwrap().1;
        self.first = format!("r={nonce}servers,s={},i={rounds}", STANDARD.encode(SALT));
        self.first.clone().into()
    }

    fn last(&self, client: &[u8], password: &str, rounds: u32) -> Bytes {
        let client = std::str::from_utf8(client).unwrap();
        let (bare, proof) = client.split_once(",p=").unwrap();
        let mut salted = [0; digest::SHA512_OUTPUT_LEN];
        let rounds = NonZeroU32::new(rounds).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, SALT, password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), text.as_bytes());
        let all = format!("{},{},{bare}", self.client, self.first);
        let client_key = sign(&salted, "Client Key");
        let stored = digest::digest(&digest::SHA512, client_key.as_ref());
        let signature = sign(stored.as_ref(), &all);
        let expected: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        if password == "right" {
            assert_eq!(STANDARD.decode(proof).unwrap(), expected);
        }
        let server_key = sign(&salted, "Server Key");
        format!("v={}", STANDARD.encode(sign(server_key.as_ref(), &all))).into()
    }
}

async fn begin() -> (Exchange, Server) {
    let step = Exchange::start(credentials(), SaslMechanism::ScramSha512).unwrap().step(None).await.unwrap();
    assert!(!step.is_last);
    (step.exchange, Server::hear(&step.output))
}

#[tokio::test]
async fn an_honest_server_lets_us_in() {
    for rounds in [4_096, 5_000] {
        let (exchange, mut server) = begin().await;
        let step = exchange.step(Some(server.first(rounds))).await.unwrap();
        let last = server.last(&step.output, "right", rounds);
        let step = step.exchange.step(Some(last)).await.unwrap();
        assert!(step.is_last && step.output.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_the_password_is_refused() {
    let (exchange, mut server) = begin().await;
    let step = exchange.step(Some(server.first(4_096))).await.unwrap();
    let last = server.last(&step.output, "wrong", 4_096);
    let said = step.exchange.step(Some(last)).await.err().unwrap();
    assert!(said.contains("do not fit user name and password"), "{said}");
}

#[tokio::test]
async fn rounds_out_of_bounds_are_never_hashed() {
    for rounds in [0, 1, 4_095, 1_000_001, u32::MAX] {
        let (exchange, mut server) = begin().await;
        let said = exchange.step(Some(server.first(rounds))).await.err().unwrap();
        assert!(said.contains(&format!("asks for {rounds} iterations")), "{said}");
    }
}

#[tokio::test]
async fn an_attribute_of_one_letter_ends_no_thread() {
    // rsasl 2.3.1 reads two bytes of it whether they are there or not.
    for last in ["v", "e", "", "v=", ","] {
        let (exchange, mut server) = begin().await;
        let step = exchange.step(Some(server.first(4_096))).await.unwrap();
        let said = step.exchange.step(Some(last.into())).await.err().unwrap();
        assert!(said.contains("does not follow RFC 5802"), "{said}");
    }
}

#[tokio::test]
async fn a_plain_login_says_all_at_once() {
    let step = Exchange::start(credentials(), SaslMechanism::Plain).unwrap().step(None).await.unwrap();
    assert!(step.is_last);
    assert_eq!(step.output, b"\0alice\0right");
}

/// What no server should say: cut, mixed and random messages, and true ones.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"r=NONCEservers".to_vec()),
        Just(b"s=YSBzYWx0".to_vec()),
        Just(b"i=4096".to_vec()),
        Just(b"v=YSBzYWx0".to_vec()),
        Just(b"e=invalid-proof".to_vec()),
        "[rsivem]=?[0-9A-Za-z+/=]{0,8}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.join(&b','))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_server_says_is_an_answer_or_an_error(first in said(), last in said()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (exchange, server) = begin().await;
            let nonce = server.client.split_once("r=").unwrap().1;
            let first = String::from_utf8_lossy(&first).replace("NONCE", nonce);
            let Ok(step) = exchange.step(Some(first.into_bytes().into())).await else { return };
            let end = step.exchange.step(Some(last.into())).await;
            assert!(end.is_err(), "nobody here knows the password");
        });
    }
}
