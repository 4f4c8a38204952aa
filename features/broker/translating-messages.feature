Feature: Translating messages

  As the author of a service that several applications use
  I want to speak of messages in my own language
  So that I need not know what role I play in which application.

  Background:
    Given a broker
    And the landscape:
      | NAME   | NAMESPACE     | SENDS                                        | RECEIVES                                   |
      | web    |               | tweets.create                                | tweets.created, tweets.created.twice       |
      | tweets | text-snippets | text-snippets.created                        | text-snippets.create, text-snippets.a.b, users.left |

  Scenario: a message to a service with a namespace
    When web sends "tweets.create" as "1" with the payload {"text":"hi"}
    Then the broker logs "web  --[ tweets.create ]-[ text-snippets.create ]->  tweets"
    And tweets receives "text-snippets.create" as "1" with the payload {"text":"hi"}

  Scenario: a reply from a service with a namespace
    When tweets sends "text-snippets.created" in reply to "111"
    Then the broker logs "tweets  --[ text-snippets.created ]-[ tweets.created ]->  web"
    And web receives "tweets.created" in reply to "111"

  Scenario: only the service's own prefix is translated
    When web sends "users.left"
    Then tweets receives "users.left"

  Scenario: what follows a second dot is kept
    When web sends "tweets.a.b"
    Then tweets receives "text-snippets.a.b"
    When tweets sends "text-snippets.created.twice"
    Then web receives "tweets.created.twice"
