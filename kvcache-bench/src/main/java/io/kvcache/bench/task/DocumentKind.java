package io.kvcache.bench.task;

/**
 * What a generated document is like. The kinds differ in how their facts are spread, and so in how
 * much of a document's KV can be dropped or rounded before answers go wrong.
 */
public enum DocumentKind {
  /** Bare pairs of a person and an item among sentences that say nothing. */
  NOTES,
  /** Every line holds two facts and nothing else: whatever is dropped is missed. */
  LEDGER,
  /** A few facts, told again and again in other words: any recent part holds all of them. */
  STORY,
  /** A few alerts anywhere among routine lines: what is rare matters, not what is recent. */
  LOG,
  /** People belong to houses and houses stand in towns: an answer needs two lines of the document. */
  REFERENCE,
  /** Numbers of six digits, each an answer of six tokens: one wrong digit spoils it. */
  NUMBERS
}
