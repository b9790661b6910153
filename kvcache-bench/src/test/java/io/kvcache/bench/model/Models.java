package io.kvcache.bench.model;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.Function;

/** Small models and what tests do with them. */
final class Models {
  /** Sizes that are no multiples of any unrolling, three query heads to a KV head. */
  static final ModelConfig ODD = new ModelConfig(60, 83, 3, 6, 2, 97, 700, false);

  /** The shape of the recall model, with fewer layers. */
  static final ModelConfig RECALL = new ModelConfig(128, 352, 2, 4, 2, 256, 700, true);

  private Models() {}

  static int[] tokens(ModelConfig config, int count, long seed) {
    return new SplittableRandom(seed).ints(count, 0, config.vocabulary()).toArray();
  }

  /** The dense rows of [0, tokens) of all layers, keys before values. */
  static byte[] export(KvState state, int tokens) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    long bytes = (long) tokens * state.rowBytes();
    for (int layer = 0; layer < state.config().layers(); layer++) {
      out.writeBytes(state.keys(layer).asSlice(0, bytes).toArray(ValueLayout.JAVA_BYTE));
      out.writeBytes(state.values(layer).asSlice(0, bytes).toArray(ValueLayout.JAVA_BYTE));
    }
    return out.toByteArray();
  }

  /** Puts what {@link #export} gave into a state that is empty. */
  static void restore(KvState state, byte[] exported, int tokens) {
    MemorySegment source = MemorySegment.ofArray(exported);
    long bytes = (long) tokens * state.rowBytes();
    for (int layer = 0; layer < state.config().layers(); layer++) {
      MemorySegment.copy(source, 2 * layer * bytes, state.keys(layer), 0, bytes);
      MemorySegment.copy(source, (2 * layer + 1) * bytes, state.values(layer), 0, bytes);
    }
    state.restored(tokens);
  }

  /** The positions given, of tokens that a state holds densely, in the compact form of a storage library. */
  static PrunedLayer prune(KvState state, int layer, int[][] positions) {
    ModelConfig config = state.config();
    long headBytes = (long) config.headDim() * Short.BYTES;
    int rows = Arrays.stream(positions).mapToInt(head -> head.length).sum();
    MemorySegment keys = MemorySegment.ofArray(new byte[Math.toIntExact(rows * headBytes)]);
    MemorySegment values = MemorySegment.ofArray(new byte[Math.toIntExact(rows * headBytes)]);
    long to = 0;
    for (int head = 0; head < config.kvHeads(); head++) {
      for (int position : positions[head]) {
        long from = (long) position * state.rowBytes() + head * headBytes;
        MemorySegment.copy(state.keys(layer), from, keys, to, headBytes);
        MemorySegment.copy(state.values(layer), from, values, to, headBytes);
        to += headBytes;
      }
    }
    return new PrunedLayer(positions, keys, values);
  }

  /** A checkpoint file with these weights. */
  static byte[] checkpoint(ModelWeights weights) {
    ModelConfig c = weights.config();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteBuffer header = ByteBuffer.allocate(28).order(ByteOrder.LITTLE_ENDIAN);
    header.putInt(c.width()).putInt(c.hidden()).putInt(c.layers()).putInt(c.heads()).putInt(c.kvHeads());
    header.putInt(c.tied() ? c.vocabulary() : -c.vocabulary()).putInt(c.context());
    out.writeBytes(header.array());
    for (int token = 0; token < c.vocabulary(); token++) {
      write(out, weights.embedding(token));
    }
    weights.layers().forEach(layer -> write(out, layer.attentionGains()));
    write(out, weights, ModelWeights.Layer::query);
    write(out, weights, ModelWeights.Layer::key);
    write(out, weights, ModelWeights.Layer::value);
    write(out, weights, ModelWeights.Layer::output);
    weights.layers().forEach(layer -> write(out, layer.mlpGains()));
    write(out, weights, ModelWeights.Layer::gate);
    write(out, weights, ModelWeights.Layer::down);
    write(out, weights, ModelWeights.Layer::up);
    write(out, weights.finalGains());
    out.writeBytes(new byte[4 * c.context() * c.headDim()]);
    if (!c.tied()) {
      write(out, weights.logitsMatrix());
    }
    return out.toByteArray();
  }

  private static void write(
      ByteArrayOutputStream out, ModelWeights weights, Function<ModelWeights.Layer, Matrix> part) {
    weights.layers().forEach(layer -> write(out, part.apply(layer)));
  }

  private static void write(ByteArrayOutputStream out, Matrix matrix) {
    for (int row = 0; row < matrix.outputs(); row++) {
      write(out, matrix.row(row));
    }
  }

  private static void write(ByteArrayOutputStream out, float[] values) {
    ByteBuffer buffer = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    buffer.asFloatBuffer().put(values);
    out.writeBytes(buffer.array());
  }
}
