Feature: Forks
  A fork begins with the content of another stream up to an offset, and is independent from there on.

  Background:
    Given a streams server
    And the stream "draft" as text/plain with `one `
    And I append `two ` to "draft"

  Scenario: Both are independent
    When I fork "draft" as "mine"
    Then I get 201
    When I append `mine` to "mine"
    And I append `theirs` to "draft"
    Then reading "mine" gives `one two mine`
    And reading "draft" gives `one two theirs`

  Scenario: At an earlier offset
    When I fork "draft" as "mine" at byte 4
    Then reading "mine" gives `one `

  Scenario: Inside an append
    When I fork "draft" as "mine" at byte 4 and 2 further
    Then reading "mine" gives `one tw`
    When I fork "draft" as "other" at byte 4 and 5 further
    Then I get 400 with the problem "invalid-request"

  Scenario: At an offset inside an append
    When I fork "draft" as "mine" at byte 6
    Then I get 201
    And reading "mine" gives `one tw`
    Given the stream "list" as application/json with `[1,22,333]`
    When I fork "list" as "whole" at byte 6
    Then reading "whole" gives `[1,22]`
    When I fork "list" as "whole" at byte 6
    Then I get 200

  Scenario: A fork shares the offsets of its source, and has eras of its own from there on
    Given I read "draft" from the start
    When I fork "draft" as "mine"
    And I read "mine" from there
    Then I get 200 with ``
    When I append `mine` to "mine"
    And I read "mine" from there
    Then I get 200 with `mine`
    When I delete "mine"
    And I fork "draft" as "mine"
    And I append `other` to "mine"
    And I read "mine" from there
    Then I get 410 with the problem "gone" and the words "deleted and made again"
    When I read "mine" from the start
    Then I get 200 with `one two other`

  Scenario: An offset beyond the end
    When I fork "draft" as "mine" at "9999999999999999_9999999999999999"
    Then I get 400 with the problem "invalid-request"

  Scenario: The source is deleted
    Given I fork "draft" as "mine"
    When I delete "draft"
    Then I get 204
    When I read "draft" from the start
    Then I get 410 with the problem "gone"
    When I create the stream "draft" as text/plain
    Then I get 409 with the problem "conflict"
    And reading "mine" gives `one two `

  Scenario: Deleting the last fork removes its source
    Given I fork "draft" as "mine"
    And I delete "draft"
    When I delete "mine"
    And I read "draft" from the start
    Then I get 404 with the problem "not-found"

  Scenario: Of a stream that is closed
    Given I close "draft"
    When I fork "draft" as "mine"
    And I append `three` to "mine"
    Then reading "mine" gives `one two three`
