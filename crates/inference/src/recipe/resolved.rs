//! Writes a recipe with its defaults resolved.

use super::keys::{ANY, SECTIONS};
use super::{DataConfig, Recipe};
use descant_models::ModelConfig;
use descant_text::{FilterConfig, NoiseConfig};
use std::fmt::Write;

impl Recipe {
    /// The recipe as TOML: every key that acts in it, defaults written out, and of the others those that have a value of
    /// their own.
    ///
    /// # Errors
    /// Where a value has no form in TOML.
    pub fn to_toml(&self) -> Result<String, String> {
        self.written(true)
    }

    /// The same recipe with every key that does not act in it as by default: what its text in a run folder says.
    pub fn settled(self) -> Result<Self, String> {
        let settled: Self = toml::from_str(&self.written(false)?).map_err(|error| error.message().to_owned())?;
        Ok(Self { source: self.source, ..settled })
    }

    fn written(&self, others: bool) -> Result<String, String> {
        let as_table = |recipe: &Self| toml::Table::try_from(recipe).map_err(|error| error.to_string());
        let (all, defaults) = (as_table(self)?, as_table(&self.defaults())?);
        fn part<'a>(table: Option<&'a toml::Table>, name: &str) -> Option<&'a toml::Table> {
            table?.get(name)?.as_table()
        }
        let mut text = "# Each key is explained by `descant explain KEY`.\n".to_owned();
        let of_target = SECTIONS.iter().filter(|section| section.name.starts_with("tokenizer"));
        let of_target = of_target.map(|section| (section, format!("target_{}", section.name)));
        for (section, place) in SECTIONS.iter().map(|section| (section, section.name.to_owned())).chain(of_target) {
            let inner = |all| place.split('.').filter(|name| !name.is_empty()).fold(Some(all), part);
            let Some(table) = inner(&all) else { continue };
            let lines = section.keys.iter().filter_map(|key| {
                let name = key.parts().1;
                let value = table.get(name)?;
                let is_default = inner(&defaults).is_some_and(|defaults| defaults.get(name) == Some(value));
                ((key.condition.holds)(self) || others && !is_default).then(|| format!("{name} = {value}"))
            });
            // Keys of any name, in a section that has them.
            let any = section.keys.iter().any(|key| key.parts().1 == ANY);
            let is_named = |name: &str| section.keys.iter().any(|key| key.parts().1 == name);
            let named = table.iter().filter(|(name, _)| any && !is_named(name));
            let named = named.map(|(name, value)| format!("{} = {value}", toml_key(name)));
            let lines: Vec<String> = lines.chain(named).collect();
            let header = if place.is_empty() { String::new() } else { format!("\n[{place}]\n") };
            if !lines.is_empty() || !place.contains('.') {
                let _ = writeln!(text, "{header}{}", lines.join("\n"));
            }
        }
        Ok(text)
    }

    /// One with the same tables and kinds, everything else as by default.
    pub(super) fn defaults(&self) -> Self {
        let transformer = self.model.transformer.as_ref().map(|_| descant_nn::TransformerConfig::default());
        let data = self.data.as_ref().map(|data| {
            let filter = data.filter.as_ref().map(|_| FilterConfig::default());
            let noise = data.noise.as_ref().map(|_| NoiseConfig::default());
            DataConfig { filter, noise, ..DataConfig::of(data.train.clone()) }
        });
        Self { data, ..Self::of(ModelConfig { transformer, ..ModelConfig::new(self.model.kind) }) }
    }
}

/// A name as a key of TOML.
fn toml_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => toml::Value::String(name.to_owned()).to_string(),
    }
}
