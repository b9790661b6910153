package io.kvcache.tiers;

import java.io.IOException;

/**
 * What the index's files hold cannot be right. Unlike a medium that fails for now, that does not pass: the index is
 * then given up, with all that it names.
 */
final class DamagedIndexException extends IOException {
  private static final long serialVersionUID = 1;

  DamagedIndexException(String message) {
    super(message);
  }

  DamagedIndexException(String message, Throwable cause) {
    super(message, cause);
  }
}
