//! The colours of the page, each in a light and a dark variant.
//!
//! The hues are those of Okabe and Ito, which stay apart for readers who do not see all colours. Charts are drawn with the
//! light values as plain attributes; a rule of the style sheet for each of them puts the variable in its place, so that one
//! drawing follows the reader's setting.

use plotters::style::RGBColor;

/// A colour of charts and legends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Runs that start from pre-trained weights, and the pre-training itself.
    Blue,
    /// Runs that start from random weights.
    Orange,
    /// Further runs.
    Green,
    /// Further runs.
    Purple,
    /// Tick labels.
    Text,
    /// Lines that only guide the eye.
    Guide,
    /// Grid lines.
    Grid,
}

/// Name of the variable, light value, dark value.
type Shade = (&'static str, [u8; 3], [u8; 3]);

impl Ink {
    const ALL: [Self; 7] = [Self::Blue, Self::Orange, Self::Green, Self::Purple, Self::Text, Self::Guide, Self::Grid];

    fn shade(self) -> Shade {
        match self {
            Self::Blue => ("blue", [0x00, 0x6b, 0xa6], [0x5c, 0xb8, 0xee]),
            Self::Orange => ("orange", [0xd0, 0x5a, 0x00], [0xf2, 0x9b, 0x4c]),
            Self::Green => ("green", [0x00, 0x8a, 0x66], [0x3f, 0xc9, 0x9f]),
            Self::Purple => ("purple", [0xa8, 0x4a, 0x85], [0xdd, 0x8f, 0xc0]),
            Self::Text => ("tick", [0x5b, 0x64, 0x70], [0x9d, 0xa7, 0xb3]),
            Self::Guide => ("guide", [0xa9, 0xb1, 0xbc], [0x5a, 0x64, 0x70]),
            Self::Grid => ("grid", [0xe6, 0xe9, 0xee], [0x2b, 0x31, 0x3a]),
        }
    }

    /// The light value, which charts are drawn with.
    pub(super) fn rgb(self) -> RGBColor {
        let (_, [red, green, blue], _) = self.shade();
        RGBColor(red, green, blue)
    }

    /// The style sheet's value: a variable.
    pub(super) fn variable(self) -> String {
        format!("var(--{})", self.shade().0)
    }
}

/// The variables, and the rules that put them into charts.
pub(super) fn style_rules() -> String {
    let declare = |pick: fn(Shade) -> [u8; 3]| -> String {
        Ink::ALL.iter().map(|ink| format!("--{}:{};", ink.shade().0, hex(pick(ink.shade())))).collect()
    };
    let mut rules = format!(":root{{{}}}\n", declare(|shade| shade.1));
    rules += &format!("@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\n", declare(|shade| shade.2));
    for ink in Ink::ALL {
        let (value, variable) = (hex(ink.shade().1), ink.variable());
        rules +=
            &format!(".chart [stroke=\"{value}\"]{{stroke:{variable}}}.chart [fill=\"{value}\"]{{fill:{variable}}}\n");
    }
    rules
}

/// As the plotting library spells it.
fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
