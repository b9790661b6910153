package io.kvcache.bench.model;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Byte pair encoding with the vocabulary of a llama2.c tokenizer file: int32 longest token, then per token
 * float32 score, int32 length and the bytes, little-endian. Immutable.
 */
public final class Tokenizer {
  /** Begins a sequence; in story models it also separates stories. */
  public static final int BOS = 1;

  /** Tokens from here on stand for the 256 single bytes. */
  private static final int FIRST_BYTE = 3;

  private final byte[][] bytes;
  private final float[] scores;
  private final Map<String, Integer> ids = new HashMap<>();

  private Tokenizer(byte[][] bytes, float[] scores) {
    this.bytes = bytes;
    this.scores = scores;
    for (int id = 0; id < bytes.length; id++) {
      ids.putIfAbsent(new String(bytes[id], StandardCharsets.UTF_8), id);
    }
  }

  /**
   * Reads a tokenizer file.
   *
   * @param vocabulary tokens the file must hold, as in {@link ModelConfig#vocabulary}
   * @throws IOException if the file cannot be read or does not hold exactly that many tokens
   */
  public static Tokenizer read(Path file, int vocabulary) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    byte[][] bytes = new byte[vocabulary][];
    float[] scores = new float[vocabulary];
    try {
      in.getInt(); // the longest token: for readers with fixed buffers
      for (int id = 0; id < vocabulary; id++) {
        scores[id] = in.getFloat();
        int length = in.getInt();
        if (length < 0 || length > in.remaining()) {
          throw new IOException(file + " is no tokenizer: token " + id + " has length " + length + ", "
              + in.remaining() + " bytes are left");
        }
        bytes[id] = new byte[length];
        in.get(bytes[id]);
      }
    } catch (BufferUnderflowException e) {
      throw new IOException(file + " is no tokenizer of " + vocabulary + " tokens: it has "
          + in.capacity() + " bytes only", e);
    }
    if (in.hasRemaining()) {
      throw new IOException(file + " is no tokenizer of " + vocabulary + " tokens: " + in.remaining()
          + " bytes follow the last");
    }
    return new Tokenizer(bytes, scores);
  }

  /** The tokens of a text, with a space put in front and without {@link #BOS}. */
  public int[] encode(String text) {
    String spaced = " " + text;
    int[] tokens = new int[spaced.getBytes(StandardCharsets.UTF_8).length];
    int count = 0;
    for (int codePoint : spaced.codePoints().toArray()) {
      String character = Character.toString(codePoint);
      Integer id = ids.get(character);
      if (id != null) {
        tokens[count++] = id;
      } else {
        for (byte b : character.getBytes(StandardCharsets.UTF_8)) {
          tokens[count++] = FIRST_BYTE + (b & 0xff);
        }
      }
    }
    return Arrays.copyOf(tokens, merge(tokens, count));
  }

  /** Joins the neighbouring pair with the best score until no pair is a token; returns what is left. */
  private int merge(int[] tokens, int count) {
    int[] joined = new int[count]; // what each token and the next one make together, or -1
    for (int i = 0; i < count; i++) {
      joined[i] = joined(tokens, i, count);
    }
    int left = count;
    while (true) {
      int best = -1;
      for (int i = 0; i + 1 < left; i++) {
        if (joined[i] >= 0 && (best < 0 || scores[joined[i]] > scores[joined[best]])) {
          best = i;
        }
      }
      if (best < 0) {
        return left;
      }
      tokens[best] = joined[best];
      System.arraycopy(tokens, best + 2, tokens, best + 1, left - best - 2);
      System.arraycopy(joined, best + 2, joined, best + 1, left - best - 2);
      left--;
      for (int i = Math.max(0, best - 1); i <= best; i++) {
        joined[i] = joined(tokens, i, left);
      }
    }
  }

  private int joined(int[] tokens, int at, int count) {
    return at + 1 < count ? ids.getOrDefault(text(tokens[at]) + text(tokens[at + 1]), -1) : -1;
  }

  private String text(int token) {
    return new String(bytes[token], StandardCharsets.UTF_8);
  }

  /** The text of the tokens; a leading space, as put there by {@link #encode}, is removed. */
  public String decode(int... tokens) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (int token : tokens) {
      if (isByte(token)) {
        out.write(token - FIRST_BYTE);
      } else {
        out.writeBytes(bytes[token]);
      }
    }
    String text = out.toString(StandardCharsets.UTF_8);
    return text.startsWith(" ") ? text.substring(1) : text;
  }

  /** Byte tokens are spelt like {@code <0x0A>}. */
  private boolean isByte(int token) {
    return token >= FIRST_BYTE && token < FIRST_BYTE + 256 && text(token).matches("<0x[0-9A-F]{2}>");
  }
}
