//! Axes: where a value lies between 0 and 1, and where the ticks are.

/// Steps between ticks that people count in, times a power of ten.
const STEPS: [f64; 4] = [1.0, 2.0, 2.5, 5.0];

/// Ticks that a linear axis has at most.
const TICKS_MAX: f64 = 6.0;

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    /// What is counted.
    pub(crate) label: String,
    /// Values that are marked, with what is written there.
    pub(crate) ticks: Vec<(f64, String)>,
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// From 0 to a round number that is not below `top`.
    pub(crate) fn linear(label: &str, top: f64) -> Axis {
        let top = top.max(f64::MIN_POSITIVE);
        let power = 10_f64.powf((top / TICKS_MAX).log10().floor());
        let steps = [power, power * 10.0].into_iter();
        let mut steps = steps.flat_map(|power| STEPS.map(|step| step * power));
        let step = steps.find(|step| top / step <= TICKS_MAX);
        let step = step.unwrap_or(top);
        let count = (top / step).ceil() as u32;
        let ticks = (0..=count).map(|tick| f64::from(tick) * step);
        Axis {
            label: label.to_owned(),
            ticks: ticks.map(|tick| (tick, thousands(tick))).collect(),
            low: 0.0,
            high: f64::from(count) * step,
            log: false,
        }
    }

    /// Logarithmic, marked at these values.
    pub(crate) fn log(label: &str, values: impl Iterator<Item = f64>) -> Axis {
        let values: Vec<f64> = values.collect();
        Axis {
            label: label.to_owned(),
            ticks: values
                .iter()
                .map(|tick| (*tick, thousands(*tick)))
                .collect(),
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(0.0, f64::max),
            log: true,
        }
    }

    /// Logarithmic, from below the lowest to above the highest value, marked at 1, 2 and 5 of each
    /// decade.
    pub(crate) fn decades(label: &str, values: impl Iterator<Item = f64>) -> Axis {
        let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let marks: Vec<f64> = decades
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)))
            .collect();
        let first = marks.iter().rposition(|mark| *mark <= low).unwrap_or(0);
        let last = marks.iter().position(|mark| *mark >= high);
        let last = last.unwrap_or(marks.len() - 1);
        Axis::log(label, marks[first..=last].iter().copied())
    }

    /// Places 0, 1, 2, … with a name each.
    pub(crate) fn names(label: &str, names: impl Iterator<Item = String>) -> Axis {
        let ticks = names.enumerate().map(|(place, name)| (place as f64, name));
        let ticks: Vec<(f64, String)> = ticks.collect();
        Axis {
            label: label.to_owned(),
            low: 0.0,
            high: ticks.len().saturating_sub(1) as f64,
            ticks,
            log: false,
        }
    }

    /// Where on the axis a value lies: 0 at its begin, 1 at its end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.log { value.ln() } else { value };
        let (low, high) = (scale(self.low), scale(self.high));
        if high > low {
            (scale(value) - low) / (high - low)
        } else {
            0.5
        }
    }
}

/// `12,500`, `0.5`
fn thousands(value: f64) -> String {
    if value.fract() != 0.0 {
        return format!("{}", (value * 1e6).round() / 1e6);
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn a_linear_axis_ends_at_a_round_number() {
        let axis = Axis::linear("", 11_300.0);
        assert_eq!(
            written(&axis),
            ["0", "2,000", "4,000", "6,000", "8,000", "10,000", "12,000"]
        );
        assert_eq!(axis.place(6_000.0), 0.5);
    }

    #[test]
    fn decades_hold_all_values() {
        let axis = Axis::decades("", [3.1, 41.0].into_iter());
        assert_eq!(written(&axis), ["2", "5", "10", "20", "50"]);
        assert_eq!(axis.place(2.0), 0.0);
        assert_eq!(axis.place(50.0), 1.0);
    }

    #[test]
    fn an_axis_of_one_value_has_a_middle() {
        assert_eq!(Axis::log("", [8.0].into_iter()).place(8.0), 0.5);
    }
}
