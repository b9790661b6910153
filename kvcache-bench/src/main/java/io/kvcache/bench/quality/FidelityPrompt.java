package io.kvcache.bench.quality;

import java.util.List;

/**
 * A prompt, and what truly follows it. Arrays belong to the record: do not change them.
 *
 * @param kind what it is like
 * @param tokens the prompt, of which the full chunks are encoded
 * @param continuations each follows the prompt on its own; at least one
 */
record FidelityPrompt(String kind, int[] tokens, List<Continuation> continuations) {
  /** Copies the list. */
  FidelityPrompt {
    continuations = List.copyOf(continuations);
  }

  /**
   * What follows a prompt.
   *
   * @param tokens read behind the prompt
   * @param scored how many of the last of them what comes next is predicted from
   * @param answer what truly comes next behind each of those; empty when nobody asked
   */
  record Continuation(int[] tokens, int scored, int[] answer) {}
}
