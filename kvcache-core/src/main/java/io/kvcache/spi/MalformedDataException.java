package io.kvcache.spi;

/** Stored bytes do not follow their format. The cache turns it into a counted miss. */
public final class MalformedDataException extends Exception {
  private static final long serialVersionUID = 1L;

  /** With what was found and what was expected. */
  public MalformedDataException(String message) {
    super(message);
  }
}
