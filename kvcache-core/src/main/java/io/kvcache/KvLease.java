package io.kvcache;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * A leased prefix: KV that stays where it is until the lease is closed.
 *
 * <p>Ownership: the bytes belong to the cache, the lease to the caller, who must close it. Lifetime: a segment from
 * {@link #view} is valid until {@link #close}. Threads: one at a time may read; any may close, but not while another
 * reads. Errors: bytes that cannot be had, or fail verification, only make {@link #tokens} smaller.
 */
public interface KvLease extends AutoCloseable {
  /**
   * Tokens from position 0 whose KV can be read: whole chunks, 0 on a miss. It only ever shrinks, when a read finds
   * bytes missing or the deadline passes.
   *
   * <p>It may be the whole prompt; an engine that needs logits then computes the last token again.
   */
  int tokens();

  /** What reading gives back, at worst. */
  Fidelity fidelity();

  /** Maximal runs of one fidelity in one tier, from token 0 on. */
  List<Run> runs();

  /**
   * Copies one layer into the caller's memory, decoded, as {@code [token][kvHead × headDim]}. Rows of runs of which
   * tokens were dropped are left as they are: {@link #kept} gives those.
   *
   * <p>Read layers in ascending order: the cache reads ahead.
   *
   * @param layer index from 0
   * @param keys at least {@link #tokens} key rows long
   * @param values at least {@link #tokens} value rows long
   * @return tokens still usable, as {@link #tokens} now says; what lies behind them in the segments is undefined
   * @throws IllegalArgumentException when there is no such layer or a segment is too small or read-only
   */
  int read(int layer, MemorySegment keys, MemorySegment values);

  /**
   * One layer of a run, a view a chunk: verified, read-only, and in place where it lies raw in memory, else decoded
   * into memory of the lease.
   *
   * @return views of the run's chunks from its start on; fewer than the run has when bytes were not usable
   */
  List<KvView> view(Run run, int layer);

  /**
   * One layer of a run of which tokens were dropped: what was kept, in memory of the lease.
   *
   * @param run one of {@link #runs} whose fidelity is {@link Fidelity.Pruned}
   * @param layer index from 0
   * @return for the run's chunks from its start on; for fewer than it has, possibly none, when bytes were not usable
   */
  KvKept kept(Run run, int layer);

  /** How long reading all layers is expected to take; zero for an empty lease. */
  Duration loadEstimate();

  /** How long computing the leased tokens instead is expected to take, from reported prefills; empty when none was. */
  Optional<Duration> recomputeEstimate();

  /** Whether loading is expected to be faster than a prefill of the leased tokens that takes {@code prefill}. */
  default boolean worthLoading(Duration prefill) {
    return tokens() > 0 && loadEstimate().compareTo(prefill) < 0;
  }

  /** Gives the prefix back. Idempotent; never throws. */
  @Override
  void close();

  /**
   * Consecutive chunks of one fidelity in one tier.
   *
   * @param firstToken position of the first token
   * @param tokens tokens, a multiple of the chunk's
   * @param tier name of the tier
   * @param codec name of the encoding
   * @param fidelity what decoding gives back
   * @param storedBytes bytes the chunks take in the tier
   */
  record Run(int firstToken, int tokens, String tier, String codec, Fidelity fidelity, long storedBytes) {}

  /**
   * What is kept of one layer of consecutive tokens. Keys and values keep the rotation of their original position,
   * and the context goes on behind {@code firstToken + tokens}, whatever was dropped.
   *
   * @param firstToken position of the first token, kept or not
   * @param tokens tokens, kept or not
   * @param positions {@code [kvHead][kept]}: positions in the context of the tokens each head keeps, ascending; as
   *     many for every head, and of runs that were pruned uniformly the same for every head and layer
   * @param keys {@code [kvHead][kept][headDim]}, read-only
   * @param values {@code [kvHead][kept][headDim]}, read-only; empty where a layer has none
   */
  record KvKept(int firstToken, int tokens, int[][] positions, MemorySegment keys, MemorySegment values) {
    /** Tokens kept by each head. */
    public int kept() {
      return positions[0].length;
    }
  }

  /**
   * One layer of one chunk.
   *
   * @param firstToken position of its first token
   * @param tokens its tokens
   * @param keys rows of keys, read-only
   * @param values rows of values, read-only; empty where a layer has none
   */
  record KvView(int firstToken, int tokens, MemorySegment keys, MemorySegment values) {}
}
