//! The decoding options: one table, and the configuration that holds their values.

mod generation_config;
mod table;
mod value_type;
mod values;

pub use generation_config::{Mode, find_option, is_neutral};
pub use table::{DecodingOption, GenerationConfig, Group, OPTIONS};
pub(crate) use value_type::LARGEST;
pub use value_type::{Range, ValueType};
pub use values::{EarlyStopping, ForcedEos, MbrMetric, Ranking, TokenIds};
