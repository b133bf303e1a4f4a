//! What the entries of a transaction want of each stock, as the scripts are told it.

use std::collections::HashMap;

use serde_json::Value;

/// Stock keys, or fields of the stock hash, each once, and the units that are wanted of each.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    stocks: Vec<String>,
    numbers: HashMap<String, usize>,
    /// By the number of the stock, of all entries together.
    units: Vec<u64>,
    /// Entries, and for each item the number of its stock and the units.
    entries: Vec<(u32, Vec<(usize, u64)>)>,
}

impl Wanted {
    pub(crate) fn add(&mut self, entry: u32, items: impl IntoIterator<Item = (String, u64)>) {
        let mut of_entry: Vec<(usize, u64)> = Vec::new();
        for (stock, units) in items {
            let number = self.number(stock);
            self.units[number] += units;
            match of_entry.iter_mut().find(|(known, _)| *known == number) {
                Some((_, known)) => *known += units,
                None => of_entry.push((number, units)),
            }
        }
        self.entries.push((entry, of_entry));
    }

    fn number(&mut self, stock: String) -> usize {
        if let Some(number) = self.numbers.get(&stock) {
            return *number;
        }
        let number = self.stocks.len();
        self.stocks.push(stock.clone());
        self.units.push(0);
        self.numbers.insert(stock, number);
        number
    }

    pub(crate) fn stocks(&self) -> &[String] {
        &self.stocks
    }

    /// `[units,…]` in the order of the stocks.
    pub(crate) fn units(&self) -> String {
        let mut text = String::from("[");
        for (at, units) in self.units.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            number(&mut text, *units);
        }
        text.push(']');
        text
    }

    /// `{"STOCK": units, …}` and `{"ENTRY": {"STOCK": units, …}, …}`, as `common.lua` keeps them.
    pub(crate) fn holds(&self) -> (String, String) {
        let names: Vec<String> = self
            .stocks
            .iter()
            .map(|stock| Value::from(stock.as_str()).to_string())
            .collect();
        let mut all = String::new();
        let of_all = names.iter().zip(self.units.iter().copied());
        object(&mut all, of_all, number);
        let mut entries = String::new();
        let by_entry = self.entries.iter().map(|(entry, items)| {
            let name = format!("\"{entry}\"");
            (name, items)
        });
        object(&mut entries, by_entry, |entries, items| {
            let items = items.iter().map(|(stock, units)| (&names[*stock], *units));
            object(entries, items, number);
        });
        (all, entries)
    }
}

/// Writes a JSON object of names that are quoted already. `write` writes a value.
fn object<V>(
    text: &mut String,
    pairs: impl Iterator<Item = (impl AsRef<str>, V)>,
    write: impl Fn(&mut String, V),
) {
    text.push('{');
    for (at, (name, value)) in pairs.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(name.as_ref());
        text.push(':');
        write(text, value);
    }
    text.push('}');
}

fn number(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_are_told_each_stock_once_and_the_units_of_each_entry() {
        let mut wanted = Wanted::default();
        let named = |name: &str, units| (name.to_owned(), units);
        wanted.add(0, [named("tea", 2), named("a \"b\"\n", 1)]);
        wanted.add(7, [named("tea", 1), named("tea", 3)]);
        assert_eq!(wanted.stocks(), ["tea", "a \"b\"\n"]);
        assert_eq!(wanted.units(), "[6,1]");
        let (held, entries) = wanted.holds();
        assert_eq!(held, r#"{"tea":6,"a \"b\"\n":1}"#);
        assert_eq!(entries, r#"{"0":{"tea":2,"a \"b\"\n":1},"7":{"tea":4}}"#);
        assert_eq!(
            Wanted::default().holds(),
            ("{}".to_owned(), "{}".to_owned())
        );
    }
}
