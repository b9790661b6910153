package io.kvcache.bench.model;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.zip.CRC32C;

/**
 * The keys and values of one sequence: what a {@link Transformer} remembers of the tokens it has seen.
 *
 * <p>Each layer has two off-heap segments, keys and values, of [capacity][kvHeads x headDim] elements of 16
 * bits, bfloat16 unless the transformer was told otherwise, little-endian; row p belongs to the token at
 * position p, keys are stored after rotation. Values are rounded when produced and attention reads nothing
 * else, so that rows copied out of one state and into another lead to identical bits from there on:
 *
 * <pre>{@code
 * MemorySegment.copy(stored.keys(layer), 0, fresh.keys(layer), 0, bytes); // and values, for every layer
 * fresh.restored(tokens);
 * }</pre>
 *
 * <p>Instead of dense rows, a run of positions may be given in pruned form ({@link #appendPruned}); its rows
 * in the segments are then unused. Dense and pruned runs may follow each other in any order.
 *
 * <p>Ownership: the state owns its memory until {@link #close}; segments obtained from it must not be used
 * afterwards. Threads: one at a time; the engine's own threads read it during a call.
 */
public final class KvState implements AutoCloseable {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Rows handed to a {@link RowSink} at once: few enough to stay in the L1 cache. */
  private static final int BLOCK_ROWS = 64;

  /** A run of positions [from, to) given in pruned form, one entry per layer. */
  private record PrunedRun(int from, int to, List<PrunedLayer> layers) {}

  /** Takes rows of one head as they are stored; row r starts at {@code block[offset + r * stride]}. */
  interface RowSink {
    void accept(short[] block, int offset, int stride, int rows, int firstEntry);
  }

  private final ModelConfig config;
  private final Element element;
  private final int capacity;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment[] keys;
  private final MemorySegment[] values;
  private final List<PrunedRun> prunedRuns = new ArrayList<>();
  private int length;

  /**
   * Allocates an empty state.
   *
   * @param capacityTokens positions there is room for, 1 to the model's context
   */
  public KvState(ModelConfig config, int capacityTokens) {
    this(config, Element.BF16, capacityTokens);
  }

  /** The same with elements of another type. */
  KvState(ModelConfig config, Element element, int capacityTokens) {
    if (capacityTokens < 1 || capacityTokens > config.context()) {
      throw new IllegalArgumentException(
          "capacityTokens is " + capacityTokens + ", must be 1 to the context, " + config.context());
    }
    this.config = config;
    this.element = element;
    capacity = capacityTokens;
    keys = new MemorySegment[config.layers()];
    values = new MemorySegment[config.layers()];
    for (int layer = 0; layer < keys.length; layer++) {
      keys[layer] = arena.allocate((long) capacity * rowBytes(), Long.BYTES);
      values[layer] = arena.allocate((long) capacity * rowBytes(), Long.BYTES);
    }
  }

  /** The model this state belongs to. */
  public ModelConfig config() {
    return config;
  }

  /** What keys and values are kept as. */
  Element element() {
    return element;
  }

  /** Positions there is room for. */
  public int capacity() {
    return capacity;
  }

  /** Tokens covered so far, from position 0; dropped ones count. The next token gets this position. */
  public int length() {
    return length;
  }

  /** Bytes of one token's key row, and of its value row, in one layer. */
  public int rowBytes() {
    return config.kvWidth() * Short.BYTES;
  }

  /** All key rows of a layer. Writable; rows at {@link #length} and beyond are free to be filled. */
  public MemorySegment keys(int layer) {
    return keys[Objects.checkIndex(layer, keys.length)];
  }

  /** All value rows of a layer, as for {@link #keys}. */
  public MemorySegment values(int layer) {
    return values[Objects.checkIndex(layer, values.length)];
  }

  /** Declares the rows from {@link #length} to {@code tokens} filled by the caller, in all layers. */
  public void restored(int tokens) {
    if (tokens < length || tokens > capacity) {
      throw new IllegalArgumentException(
          "restored to " + tokens + " tokens, must be " + length + " to " + capacity);
    }
    length = tokens;
  }

  /**
   * Appends the positions from {@link #length} to {@code tokens} in pruned form.
   *
   * @param layers one entry per layer; the numbers kept may differ. Copied.
   */
  public void appendPruned(int tokens, List<PrunedLayer> layers) {
    if (tokens <= length || tokens > capacity) {
      throw new IllegalArgumentException(
          "pruned run ends at " + tokens + ", must be " + (length + 1) + " to " + capacity);
    }
    if (layers.size() != config.layers()) {
      throw new IllegalArgumentException(layers.size() + " layers given, the model has " + config.layers());
    }
    layers.forEach(layer -> layer.check(config, length, tokens));
    prunedRuns.add(new PrunedRun(length, tokens, layers.stream().map(this::copyOf).toList()));
    length = tokens;
  }

  private PrunedLayer copyOf(PrunedLayer layer) {
    int[][] positions = layer.positions().clone();
    for (int head = 0; head < positions.length; head++) {
      positions[head] = positions[head].clone();
    }
    return new PrunedLayer(positions, copyOf(layer.keys()), copyOf(layer.values()));
  }

  private MemorySegment copyOf(MemorySegment bytes) {
    return arena.allocate(bytes.byteSize(), Long.BYTES).copyFrom(bytes);
  }

  /**
   * Forgets the tokens at positions {@code tokens} and beyond.
   *
   * @param tokens 0 to {@link #length}, and not inside a pruned run
   */
  public void truncate(int tokens) {
    if (tokens < 0 || tokens > length) {
      throw new IllegalArgumentException("cannot truncate to " + tokens + ", must be 0 to " + length);
    }
    for (PrunedRun run : prunedRuns) {
      if (run.from < tokens && tokens < run.to) {
        throw new IllegalArgumentException(
            "cannot truncate to " + tokens + ", inside the pruned run [" + run.from + ", " + run.to + ")");
      }
    }
    prunedRuns.removeIf(run -> run.from >= tokens);
    length = tokens;
  }

  /** A checksum over all that attention can see: equal states have equal ones. */
  public long checksum() {
    CRC32C crc = new CRC32C();
    for (int layer = 0; layer < keys.length; layer++) {
      int position = 0;
      for (PrunedRun run : prunedRuns) {
        addDense(crc, layer, position, run.from);
        PrunedLayer pruned = run.layers.get(layer);
        for (int[] ofHead : pruned.positions()) {
          crc.update(ByteBuffer.wrap(MemorySegment.ofArray(ofHead).toArray(ValueLayout.JAVA_BYTE)));
        }
        crc.update(pruned.keys().asByteBuffer());
        crc.update(pruned.values().asByteBuffer());
        position = run.to;
      }
      addDense(crc, layer, position, length);
    }
    return (long) length << Integer.SIZE | crc.getValue();
  }

  private void addDense(CRC32C crc, int layer, int from, int to) {
    long at = (long) from * rowBytes();
    long bytes = (long) (to - from) * rowBytes();
    crc.update(keys[layer].asSlice(at, bytes).asByteBuffer());
    crc.update(values[layer].asSlice(at, bytes).asByteBuffer());
  }

  /** Frees the memory. Idempotent. */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  /** Writes dense rows, [rows][kvHeads x headDim] from {@code block[0]}, without counting them yet. */
  void writeKeys(int layer, int position, short[] block, int rows) {
    write(keys[layer], position, block, rows);
  }

  void writeValues(int layer, int position, short[] block, int rows) {
    write(values[layer], position, block, rows);
  }

  private void write(MemorySegment half, int position, short[] block, int rows) {
    MemorySegment.copy(block, 0, half, SHORT, (long) position * rowBytes(), rows * config.kvWidth());
  }

  /** Entries attention sees in a head up to position {@code end}, which is at least {@link #length}. */
  int entries(int layer, int kvHead, int end) {
    int entries = end;
    for (PrunedRun run : prunedRuns) {
      entries -= run.to - run.from - run.layers.get(layer).kept(kvHead);
    }
    return entries;
  }

  /** The original position of every entry of a head, ascending. */
  int[] positions(int layer, int kvHead, int end) {
    int[] positions = new int[entries(layer, kvHead, end)];
    int entry = 0;
    int position = 0;
    for (PrunedRun run : prunedRuns) {
      while (position < run.from) {
        positions[entry++] = position++;
      }
      int[] kept = run.layers.get(layer).positions()[kvHead];
      System.arraycopy(kept, 0, positions, entry, kept.length);
      entry += kept.length;
      position = run.to;
    }
    while (position < end) {
      positions[entry++] = position++;
    }
    return positions;
  }

  /** Streams the keys of one head up to position {@code end}, entry by entry in order of position. */
  void readKeys(int layer, int kvHead, int end, RowSink sink) {
    read(layer, kvHead, end, true, sink);
  }

  void readValues(int layer, int kvHead, int end, RowSink sink) {
    read(layer, kvHead, end, false, sink);
  }

  private void read(int layer, int kvHead, int end, boolean wantKeys, RowSink sink) {
    MemorySegment dense = wantKeys ? keys[layer] : values[layer];
    short[] block = new short[BLOCK_ROWS * config.kvWidth()];
    int headOffset = kvHead * config.headDim();
    int entry = 0;
    int position = 0;
    for (PrunedRun run : prunedRuns) {
      readRows(dense, position, run.from - position, config.kvWidth(), headOffset, block, entry, sink);
      entry += run.from - position;
      PrunedLayer pruned = run.layers.get(layer);
      MemorySegment compact = wantKeys ? pruned.keys() : pruned.values();
      int kept = pruned.kept(kvHead);
      readRows(compact, pruned.firstRow(kvHead), kept, config.headDim(), 0, block, entry, sink);
      entry += kept;
      position = run.to;
    }
    readRows(dense, position, end - position, config.kvWidth(), headOffset, block, entry, sink);
  }

  /** Hands {@code count} rows of {@code rowLength} elements from {@code firstRow} on to the sink. */
  private static void readRows(
      MemorySegment source, int firstRow, int count, int rowLength, int headOffset,
      short[] block, int firstEntry, RowSink sink) {
    for (int done = 0; done < count; done += BLOCK_ROWS) {
      int rows = Math.min(BLOCK_ROWS, count - done);
      long offset = (long) (firstRow + done) * rowLength * Short.BYTES;
      MemorySegment.copy(source, SHORT, offset, block, 0, rows * rowLength);
      sink.accept(block, headOffset, rowLength, rows, firstEntry + done);
    }
  }

  /** Counts {@code tokens} more rows as written. */
  void advance(int tokens) {
    length += tokens;
  }
}
