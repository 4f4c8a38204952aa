Feature: Compat mode

  As the owner of an application that was written for the original ExoCom
  I want the broker to behave as the original did, even where that is odd
  So that my application works unchanged.

  Background:
    Given a broker in compat mode

  Scenario: nobody receives the message
    When web sends "zonk"
    Then the broker answers 500
    And the answer is "Error: No receivers for message 'zonk' registered"

  Scenario: the public name is the one in the error
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users | mongo     |       |          |
    When users sends "mongo.created"
    Then the answer is "Error: No receivers for message 'users.created' registered"

  Scenario: a message to a service with a namespace, and its reply
    Given the landscape:
      | NAME   | NAMESPACE     | SENDS                 | RECEIVES             |
      | web    |               | tweets.create         | tweets.created       |
      | tweets | text-snippets | text-snippets.created | text-snippets.create |
    When web sends "tweets.create"
    Then tweets receives "text-snippets.create"
    When tweets sends "text-snippets.created"
    Then web receives "tweets.created"

  Scenario: a service with a namespace that receives another one's message never gets it
    Given the landscape:
      | NAME | NAMESPACE | SENDS | RECEIVES      |
      | web  | web       |       | users.created |
    Then GET /config.json eventually says "'web':{'name':'web'"
    When users sends "users.created"
    Then the broker answers 500

  Scenario: what follows a second dot is lost
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES         |
      | users | mongo     |       | mongo.create.now |
    When web sends "users.create"
    Then users receives "mongo.create"

  Scenario: a reply goes only to those who receive it
    Given the instance "web-1" of web receives ""
    And the instance "users-1" of users receives "create"
    When web sends "create" as "1" from instance "web-1"
    And users sends "created" as "2" in reply to "1"
    Then the broker answers 500

  Scenario Outline: whatever a receiver answers is final
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And users answers every delivery with <STATUS>
    When web sends "create" as "1"
    Then the broker answers 200
    And GET /undelivered eventually says "'id':'1'"
    When users answers every delivery with 200 again
    And web sends "create" as "2"
    Then users has received, in this order: 2
    And users has been called 2 times

    Examples:
      | STATUS |
      | 400    |
      | 404    |
      | 429    |
      | 500    |
      | 503    |

  Scenario: a receiver gets its messages side by side
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES   |
      | users |           |       | slow, fast |
    And users answers "slow" only after "fast" has come
    When web sends "slow" as "1"
    And web sends "slow" as "2"
    And web sends "slow" as "3"
    And web sends "fast" as "4"
    Then users has received 4 messages
    And users has been called 4 times

  Scenario: a receiver that answers only after a nested exchange
    Given the landscape:
      | NAME  | NAMESPACE | SENDS             | RECEIVES          |
      | web   |           | start, data       | question          |
      | users |           | question, started | start, data       |
    And users answers "start" only after "data" has come
    When web sends "start" as "1"
    And users sends "question" as "2"
    Then web receives "question"
    When web sends "data" as "3" in reply to "2"
    Then users has received, in this order: 3, 1
    And users has been called 2 times

  Scenario: a delivery has the fields of the original, and no others
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    When web sends "create" as "1" with the payload {"a":1}
    And web sends "create" as "2" in reply to "0"
    Then users has received the body `{"id":"1","payload":{"a":1}}`
    And users has received the body `{"id":"2","responseTo":"0"}`

  Scenario: what the original did not answer
    When I GET /services
    Then the broker answers 404
    And the answer says "Cannot GET /services"
    When I GET /status.json
    Then the broker answers 404
    And the answer says "Cannot GET /status.json"
    When I GET /send/hello
    Then the broker answers 404
    And the answer says "Cannot GET /send/hello"

  Scenario: an object without roles takes all services away, as by the original
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    When I POST to /services:
      """
      {}
      """
    Then the broker answers 200
    When web sends "create"
    Then the broker answers 500
