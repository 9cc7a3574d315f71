//! `descant schema`: the JSON schema of recipes.

use crate::report::print;
use clap::Args;

#[derive(Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        print(serde_json::to_string_pretty(&descant_inference::schema())?)
    }
}
