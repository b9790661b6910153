package io.kvcache.bench.quality;

import io.kvcache.Encoding;
import io.kvcache.bench.task.DocumentKind;
import java.util.Map;

/**
 * What became of the answers about one document, by encoding of its KV.
 *
 * @param kind what the document is like
 * @param number which of its kind
 * @param tokens length of the document
 * @param byEncoding in the order in which encodings are listed
 */
record ContextOutcome(DocumentKind kind, int number, int tokens, Map<Encoding, Outcome> byEncoding) {
  /**
   * The answers from one encoding.
   *
   * @param questions asked
   * @param correct answered exactly right
   * @param quality mean share of the tokens of the answer from exact KV that came out, by position
   * @param estimate of quality, from keys and values alone
   * @param estimateNanos what the estimate took
   */
  record Outcome(int questions, int correct, double quality, double estimate, long estimateNanos) {}
}
