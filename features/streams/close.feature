Feature: Closing
  A closed stream accepts no more content and can be read for ever. Closing cannot be undone.

  Background:
    Given a streams server
    And the stream "notes" as text/plain with `all`

  Scenario: Closing, and closing again
    When I close "notes"
    Then I get 204
    And the header "stream-closed" is "true"
    When I close "notes"
    Then I get 204

  Scenario: The last content is appended with the close
    When I close "notes" with ` of it`
    And I read "notes" from the start
    Then I get 200 with `all of it`
    And the header "stream-closed" is "true"

  Scenario: Appending to a closed stream
    Given I close "notes"
    When I append `more` to "notes"
    Then I get 409 with the problem "stream-closed"
    And the header "stream-next-offset" ends with "_0000000000000003"

  Scenario: A long-poll at the end of a closed stream does not wait
    Given I close "notes"
    When I read "notes" from now by long-poll
    Then I get 204
    And the header "stream-closed" is "true"

  Scenario: The producer that closed the stream retries
    Given producer "p" of epoch 0 closes "notes" as number 0
    When producer "p" of epoch 0 closes "notes" as number 0
    Then I get 204
    When producer "q" of epoch 0 closes "notes" as number 0
    Then I get 409 with the problem "stream-closed"
