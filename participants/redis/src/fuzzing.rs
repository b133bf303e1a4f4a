//! What the fuzzer calls of the inside of this crate. Each gives a short word for what came of the
//! input, and panics when a promise is broken.

use crate::participant::RedisParticipant;
use crate::refusal;
use crate::settings::Settings;

/// Two skus under one pattern: their keys differ, and none is one of tandem's own.
pub fn stock_keys(prefix: &str, pattern: &str, in_hash: bool, skus: [&str; 2]) -> &'static str {
    let mut settings = Settings::at("redis://127.0.0.1");
    settings.key_prefix = prefix.to_owned();
    match in_hash {
        true => {
            settings.stock_hash = Some("stock".to_owned());
            settings.stock_field = Some(pattern.to_owned());
        }
        false => settings.stock_key = Some(pattern.to_owned()),
    }
    let name = "stock".parse().expect("well formed");
    let Ok(participant) = RedisParticipant::new(name, settings) else {
        return "refused";
    };
    let keys = skus.map(|sku| participant.stock_of(sku));
    for key in &keys {
        match key {
            Ok(key) => assert!(in_hash || !key.starts_with(prefix), "{key:?} is reserved"),
            Err(key) => assert!(
                key.strip_prefix("witness:")
                    .unwrap_or(key)
                    .starts_with(prefix),
                "{key:?} is not reserved"
            ),
        }
    }
    assert_eq!(skus[0] == skus[1], keys[0] == keys[1], "{keys:?}");
    match keys {
        [Ok(_), Ok(_)] => "both",
        [Ok(_), Err(_)] | [Err(_), Ok(_)] => "one is reserved",
        [Err(_), Err(_)] => "both are reserved",
    }
}

/// A stock value: only the one text that the scripts take for an integer is one.
pub fn stock_value(text: &str) -> &'static str {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (!digits.starts_with('0') || text == "0");
    let (value, problem) = refusal::read_value(text);
    match (value, problem) {
        (Some(value), None) => {
            assert!(canonical && value.to_string() == text && value.unsigned_abs() < 1 << 53);
            "a value"
        }
        (_, Some(problem)) => {
            let small = digits.len() <= 15;
            assert!(!(canonical && small), "{text:?} is an integer: {problem}");
            problem
        }
        (None, None) => panic!("{text:?} is neither"),
    }
}
