package io.kvcache.bench.model;

import io.kvcache.DType;
import java.util.Arrays;
import java.util.List;

/**
 * A decoder-only transformer of the Llama family: RMS normalisation, rotary positions, grouped-query
 * attention, SwiGLU.
 *
 * <p>Contract: what a token's keys, values and logits are depends only on the weights, the entries of the
 * {@link KvState} before it and the token, bit for bit. It does not matter how a prompt is split into calls,
 * whether positions are verified together or decoded one by one, or how many threads work.
 *
 * <p>The caller owns states and weights; results are fresh arrays. If a call throws, the state is as before.
 * Threads: calls are serialised; for parallel sequences use several transformers on the same weights.
 */
public final class Transformer implements AutoCloseable {
  private final ModelWeights weights;
  private final Element element;
  private final Rotary rotary;
  private final RowPass rowPass;
  private final Workers workers;

  /** As the other constructor, with one thread per available processor. */
  public Transformer(ModelWeights weights) {
    this(weights, Runtime.getRuntime().availableProcessors());
  }

  /**
   * An engine for these weights.
   *
   * @param threads threads a long prefill uses, the caller's included; at least 1
   */
  public Transformer(ModelWeights weights, int threads) {
    this(weights, threads, DType.BF16);
  }

  /**
   * The same with keys and values of another type.
   *
   * @param dtype BF16 or F16
   */
  public Transformer(ModelWeights weights, int threads, DType dtype) {
    if (threads < 1) {
      throw new IllegalArgumentException("threads is " + threads + ", must be 1 or more");
    }
    this.weights = weights;
    element = Element.of(dtype);
    rotary = new Rotary(weights.config().context(), weights.config().headDim());
    rowPass = new RowPass(weights, rotary);
    workers = new Workers(threads);
  }

  /** The shape of the model. */
  public ModelConfig config() {
    return weights.config();
  }

  /** An empty state for this model, to be closed by the caller. */
  public KvState newState(int capacityTokens) {
    return new KvState(config(), element, capacityTokens);
  }

  /** Appends the tokens and returns the logits after the last one, [vocabulary]. */
  public float[] prefill(KvState state, int... tokens) {
    return weights.logits(forward(state, PrefillNotes.NONE, tokens, 1)[0]);
  }

  /** As {@link #prefill(KvState, int...)}, and adds the attention the tokens pay to {@code scores}. */
  public float[] prefill(KvState state, AttentionScores scores, int... tokens) {
    return prefill(state, new PrefillNotes(List.of(scores), null), tokens);
  }

  /** As {@link #prefill(KvState, int...)}, and fills in the notes. */
  public float[] prefill(KvState state, PrefillNotes notes, int... tokens) {
    return weights.logits(forward(state, notes, tokens, 1)[0]);
  }

  /** Appends one token and returns the logits after it, [vocabulary]. */
  public float[] decode(KvState state, int token) {
    return prefill(state, token);
  }

  /**
   * Appends the tokens and returns the logits after each, [token][vocabulary]: what {@link #decode} would
   * return token by token. Undo what turns out wrong with {@link KvState#truncate}.
   */
  public float[][] verify(KvState state, int... tokens) {
    float[][] last = forward(state, PrefillNotes.NONE, tokens, tokens.length);
    float[][] logits = new float[tokens.length][];
    Arrays.setAll(logits, i -> weights.logits(last[i]));
    return logits;
  }

  /**
   * Continues greedily.
   *
   * @param logits what the last call on {@code state} returned
   * @param maxTokens tokens to generate at most
   * @param stopToken ends generation and is not returned; -1 for none
   * @return the tokens generated; the state lacks the one chosen last, whose logits nobody asked for
   */
  public int[] generate(KvState state, float[] logits, int maxTokens, int stopToken) {
    int[] generated = new int[maxTokens];
    float[] current = logits;
    for (int i = 0; i < maxTokens; i++) {
      if (i > 0) {
        current = decode(state, generated[i - 1]);
      }
      generated[i] = argmax(current);
      if (generated[i] == stopToken) {
        return Arrays.copyOf(generated, i);
      }
    }
    return generated;
  }

  /** The token with the highest score; the lowest such token on a tie. */
  public static int argmax(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  private synchronized float[][] forward(KvState state, PrefillNotes notes, int[] tokens, int keep) {
    check(state, tokens);
    notes.grow(config(), state.length(), state.length() + tokens.length);
    if (tokens.length > RowPass.MAX_TOKENS) {
      return new ColumnPass(weights, rotary, workers, state, tokens, notes).run(keep);
    }
    float[][] outputs = rowPass.run(state, tokens, notes);
    return Arrays.copyOfRange(outputs, tokens.length - keep, tokens.length);
  }

  private void check(KvState state, int[] tokens) {
    if (state.element() != element) {
      throw new IllegalArgumentException("a state of " + state.element() + ", the engine keeps " + element);
    }
    if (!state.config().equals(config())) {
      throw new IllegalArgumentException("a state of " + state.config() + ", the model is " + config());
    }
    if (tokens.length < 1 || tokens.length > state.capacity() - state.length()) {
      throw new IllegalArgumentException(tokens.length + " tokens, must be 1 to the room left, "
          + (state.capacity() - state.length()));
    }
    for (int token : tokens) {
      if (token < 0 || token >= config().vocabulary()) {
        throw new IllegalArgumentException(
            "token is " + token + ", must be 0 to " + (config().vocabulary() - 1));
      }
    }
  }

  /** Ends the threads. Idempotent; states and weights stay usable. */
  @Override
  public synchronized void close() {
    workers.close();
  }
}
