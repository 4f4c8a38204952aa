Feature: Producers
  A producer numbers its requests. It may repeat each of them, and each counts once.

  Background:
    Given a streams server
    And the stream "orders" as application/json

  Scenario: A request that is sent again
    When producer "p" of epoch 0 sends `1` as number 0 to "orders"
    Then I get 200
    When producer "p" of epoch 0 sends `2` as number 1 to "orders"
    And producer "p" of epoch 0 sends `1` as number 0 to "orders"
    Then I get 204
    And the header "producer-seq" is "1"
    And reading "orders" gives `[1,2]`

  Scenario: A request that overtakes another
    When producer "p" of epoch 0 sends `1` as number 0 to "orders"
    And producer "p" of epoch 0 sends `3` as number 2 to "orders"
    Then I get 409 with the problem "producer-gap"
    And the header "producer-expected-seq" is "1"
    And the header "producer-received-seq" is "2"

  Scenario: A producer that was replaced
    When producer "p" of epoch 1 sends `1` as number 0 to "orders"
    And producer "p" of epoch 0 sends `2` as number 0 to "orders"
    Then I get 403 with the problem "producer-fenced"
    And the header "producer-epoch" is "1"

  Scenario: A request that failed does not count
    When producer "p" of epoch 0 sends `{` as number 0 to "orders"
    Then I get 400
    When producer "p" of epoch 0 sends `1` as number 0 to "orders"
    Then I get 200

  Scenario: Two producers do not disturb each other
    When producer "p" of epoch 0 sends `1` as number 0 to "orders"
    And producer "q" of epoch 7 sends `2` as number 0 to "orders"
    Then I get 200
    And reading "orders" gives `[1,2]`
