package io.kvcache.bench.quality;

import io.kvcache.DropMethod;
import io.kvcache.TokenScores;
import io.kvcache.bench.model.AttentionScores;
import io.kvcache.bench.model.ExpectedAttention;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.PrefillNotes;
import io.kvcache.bench.model.PromptQueries;
import io.kvcache.bench.model.Repetition;
import io.kvcache.bench.model.Transformer;
import java.util.List;

/** What the bench's engine can say of the tokens of a prompt that it has just read. */
public final class EngineScores {
  /** Tokens at the end of a prompt whose attention counts for SnapKV; kvpress's default. */
  private static final int WINDOW = 64;

  private EngineScores() {}

  /**
   * Fills an empty state with a prompt of at least five tokens, and returns their scores for all methods that need any.
   * Takes about twice as long as {@link #readOnce}.
   */
  public static TokenScores prefill(Transformer transformer, KvState state, int... prompt) {
    return readOnce(transformer, state, prompt).kvZip(Repetition.attention(transformer, state, prompt));
  }

  /** As {@link #prefill}, without what the prompt has to be read once more for: KVzip's. */
  public static TokenScores readOnce(Transformer transformer, KvState state, int... prompt) {
    int window = Math.min(WINDOW, prompt.length);
    AttentionScores last = AttentionScores.ofQueriesFrom(prompt.length - window);
    AttentionScores all = AttentionScores.cumulative();
    PromptQueries queries = new PromptQueries();
    transformer.prefill(state, new PrefillNotes(List.of(last, all), queries), prompt);
    return TokenScores.none()
        .snapKv(last.mass(), window)
        .h2o(all.mass())
        .with(DropMethod.EXPECTED_ATTENTION, ExpectedAttention.scores(state, queries));
  }
}
